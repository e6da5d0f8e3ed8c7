import com.hazelcast.client.HazelcastClient;
import com.hazelcast.client.config.ClientConfig;
import com.hazelcast.core.HazelcastInstance;
import com.hazelcast.map.IMap;
import com.hazelcast.nio.serialization.FieldKind;
import com.hazelcast.nio.serialization.genericrecord.GenericRecord;
import com.hazelcast.nio.serialization.genericrecord.GenericRecordBuilder;
import com.hazelcast.spi.impl.SerializationServiceSupport;
import com.hazelcast.topic.ITopic;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.StringJoiner;
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
    private static final long CONNECT_MILLIS_MAX = 20_000;
    private static final long WAIT_NANOS_MAX = TimeUnit.SECONDS.toNanos(20);
    private static final long POLL_MILLIS = 5;

    private ReadPrediction() {
    }

    public static void main(String[] arguments) throws Exception {
        ClientConfig config = new ClientConfig().setClusterName(arguments[1]);
        config.getNetworkConfig().addAddress(arguments[0]);
        config.getConnectionStrategyConfig().getConnectionRetryConfig()
                .setClusterConnectTimeoutMillis(CONNECT_MILLIS_MAX);
        Map<String, String> report = new LinkedHashMap<>();
        try {
            // README: begin
            HazelcastInstance client = HazelcastClient.newHazelcastClient(config);
            IMap<Long, GenericRecord> predictions = client.getMap("fraud.predictions");
            GenericRecord prediction = predictions.get(4711L);
            String label = prediction.getString("label");
            double score = prediction.getFloat64("score");
            // README: end
            report.put("label", quoted(label));
            report.put("score", Double.toString(score));
            report.put("found_prediction", json(prediction));
            putAndRead(client, predictions, report);
        } finally {
            HazelcastClient.shutdownAll();
        }
        System.out.println(object(report));
    }

    private static void putAndRead(HazelcastInstance client, IMap<Long, GenericRecord> predictions,
            Map<String, String> report) throws Exception {
        IMap<Long, GenericRecord> payments = client.getMap("payments");
        report.put("found_record", json(payments.get(4711L)));
        BlockingQueue<GenericRecord> messages = listen(client.getTopic("fraud.predictions"));
        BlockingQueue<GenericRecord> alerts = listen(client.getReliableTopic("alerts.predictions"));

        GenericRecord payment = GenericRecordBuilder.compact("com.example.Payment")
                .setFloat64("amount", 912.35).setInt32("hour", 3).setFloat32("distance", 81.7f).build();
        payments.put(4711L, payment);
        long digest = InputDigest.of(data(client, payment));
        report.put("digest", Long.toString(digest));
        report.put("key_data", Arrays.toString(data(client, 4711L)));
        report.put("prediction", json(await(predictions, digest)));
        report.put("message", json(await(messages, digest)));
        report.put("alert", json(await(alerts, digest)));
    }

    private static BlockingQueue<GenericRecord> listen(ITopic<GenericRecord> topic) {
        BlockingQueue<GenericRecord> messages = new LinkedBlockingQueue<>();
        topic.addMessageListener(message -> messages.add(message.getMessageObject()));
        return messages;
    }

    /** The prediction of just this record, once it stands in the map. */
    private static GenericRecord await(IMap<Long, GenericRecord> predictions, long digest) throws Exception {
        long start = System.nanoTime();
        GenericRecord last = null;
        while (System.nanoTime() - start < WAIT_NANOS_MAX) {
            last = predictions.get(4711L);
            if (last != null && last.getInt64("input_digest") == digest) {
                return last;
            }
            Thread.sleep(POLL_MILLIS);
        }
        throw new TimeoutException("no prediction of the digest " + digest + "; the last one read is " + json(last));
    }

    /** The message about just this record. */
    private static GenericRecord await(BlockingQueue<GenericRecord> messages, long digest) throws Exception {
        long start = System.nanoTime();
        while (true) {
            long left = WAIT_NANOS_MAX - (System.nanoTime() - start);
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

    private static String json(GenericRecord record) {
        if (record == null) {
            return "null";
        }
        Map<String, String> fields = new LinkedHashMap<>();
        for (String name : record.getFieldNames()) {
            fields.put(name, json(record, name, record.getFieldKind(name)));
        }
        return object(fields);
    }

    private static String json(GenericRecord record, String name, FieldKind kind) {
        return switch (kind) {
            case STRING -> quoted(record.getString(name));
            case INT32 -> Integer.toString(record.getInt32(name));
            case INT64 -> Long.toString(record.getInt64(name));
            case FLOAT64 -> Double.toString(record.getFloat64(name));
            case ARRAY_OF_INT8 -> Arrays.toString(record.getArrayOfInt8(name));
            case ARRAY_OF_FLOAT64 -> Arrays.toString(record.getArrayOfFloat64(name));
            default -> quoted("a field of the kind " + kind);
        };
    }

    private static String object(Map<String, String> fields) {
        StringJoiner joined = new StringJoiner(", ", "{", "}");
        fields.forEach((name, value) -> joined.add(quoted(name) + ": " + value));
        return joined.toString();
    }

    private static String quoted(String text) {
        return text == null ? "null" : '"' + text.replace("\\", "\\\\").replace("\"", "\\\"") + '"';
    }
}
