import com.hazelcast.client.HazelcastClient;
import com.hazelcast.client.config.ClientConfig;
import com.hazelcast.core.HazelcastInstance;
import com.hazelcast.map.IMap;
import com.hazelcast.nio.serialization.genericrecord.GenericRecord;
import com.hazelcast.nio.serialization.genericrecord.GenericRecordBuilder;
import com.hazelcast.spi.impl.SerializationServiceSupport;
import com.hazelcast.topic.ITopic;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Reads the prediction of a record that Python put, puts a record of its own under the same key, and reads that one's
 * prediction and messages: those of the deployment "fraud" on a plain topic, those of "alerts" on a reliable one. Prints
 * what it read as one line of JSON. Arguments: address and name of the cluster.
 */
public final class ReadPrediction {
    private ReadPrediction() {
    }

    public static void main(String[] arguments) throws Exception {
        ClientConfig config = GridClient.config(arguments);
        Map<String, Object> report = new LinkedHashMap<>();
        try {
            // README: begin
            HazelcastInstance client = HazelcastClient.newHazelcastClient(config);
            IMap<Long, GenericRecord> predictions = client.getMap("fraud.predictions");
            GenericRecord prediction = predictions.get(4711L);
            String label = prediction.getString("label");
            double score = prediction.getFloat64("score");
            // README: end
            report.put("label", label);
            report.put("score", score);
            report.put("found_prediction", GridClient.fields(prediction));
            putAndRead(client, predictions, report);
        } finally {
            HazelcastClient.shutdownAll();
        }
        System.out.println(Json.of(report));
    }

    private static void putAndRead(HazelcastInstance client, IMap<Long, GenericRecord> predictions,
            Map<String, Object> report) throws Exception {
        IMap<Long, GenericRecord> payments = client.getMap("payments");
        report.put("found_record", GridClient.fields(payments.get(4711L)));
        BlockingQueue<GenericRecord> messages = listen(client.getTopic("fraud.predictions"));
        BlockingQueue<GenericRecord> alerts = listen(client.getReliableTopic("alerts.predictions"));

        GenericRecord payment = GenericRecordBuilder.compact("com.example.Payment")
                .setFloat64("amount", 912.35).setInt32("hour", 3).setFloat32("distance", 81.7f).build();
        payments.put(4711L, payment);
        long digest = InputDigest.of(data(client, payment));
        report.put("digest", digest);
        report.put("key_data", data(client, 4711L));
        report.put("prediction", GridClient.fields(GridClient.await(predictions, 4711L,
                found -> found.getInt64("input_digest") == digest)));
        report.put("message", GridClient.fields(await(messages, digest)));
        report.put("alert", GridClient.fields(await(alerts, digest)));
    }

    private static BlockingQueue<GenericRecord> listen(ITopic<GenericRecord> topic) {
        BlockingQueue<GenericRecord> messages = new LinkedBlockingQueue<>();
        topic.addMessageListener(message -> messages.add(message.getMessageObject()));
        return messages;
    }

    /** The message about just this record. */
    private static GenericRecord await(BlockingQueue<GenericRecord> messages, long digest) throws Exception {
        long start = System.nanoTime();
        while (true) {
            long left = GridClient.WAIT_NANOS_MAX - (System.nanoTime() - start);
            GenericRecord message = messages.poll(left, TimeUnit.NANOSECONDS);
            if (message == null) {
                throw new TimeoutException("no topic message about the digest " + digest);
            }
            if (message.getInt64("input_digest") == digest) {
                return message;
            }
        }
    }

    /** The bytes that the client sends for a key or a record. */
    private static byte[] data(HazelcastInstance client, Object value) {
        return ((SerializationServiceSupport) client).getSerializationService().toData(value).toByteArray();
    }
}
