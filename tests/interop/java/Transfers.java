import com.hazelcast.client.HazelcastClient;
import com.hazelcast.client.config.ClientConfig;
import com.hazelcast.core.EntryEvent;
import com.hazelcast.core.HazelcastInstance;
import com.hazelcast.core.HazelcastJsonValue;
import com.hazelcast.map.IMap;
import com.hazelcast.map.listener.EntryAddedListener;
import com.hazelcast.map.listener.EntryUpdatedListener;
import com.hazelcast.nio.serialization.compact.CompactReader;
import com.hazelcast.nio.serialization.compact.CompactSerializer;
import com.hazelcast.nio.serialization.compact.CompactWriter;
import com.hazelcast.nio.serialization.genericrecord.GenericRecord;
import com.hazelcast.topic.ITopic;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;

/** Hears what is predicted of transfers, puts three of them, and reads their predictions. */
public final class Transfers {
    /** Our record; a class or record without a serializer is Compact by itself. A null distance is not known. */
    record Transfer(double amount, int hour, Double distance) {
    }

    /** A grid_inference.Prediction, as far as we want to know it: label and scores may be null. */
    record Prediction(String label, double score, double[] scores, int version, long inputDigest) {
    }

    /** What makes the one of the other. */
    static final class PredictionSerializer implements CompactSerializer<Prediction> {
        @Override
        public String getTypeName() {
            return "grid_inference.Prediction";
        }

        @Override
        public Class<Prediction> getCompactClass() {
            return Prediction.class;
        }

        @Override
        public Prediction read(CompactReader reader) {
            return new Prediction(reader.readString("label"), reader.readFloat64("score"),
                    reader.readArrayOfFloat64("scores"), reader.readInt32("version"), reader.readInt64("input_digest"));
        }

        @Override
        public void write(CompactWriter writer, Prediction prediction) {
            throw new UnsupportedOperationException("predictions are read only");
        }
    }

    /** Hears each prediction that is written. */
    static void listenToMap(IMap<Object, Prediction> predictions, BlockingQueue<String> heard) {
        class Changed implements EntryAddedListener<Object, Prediction>, EntryUpdatedListener<Object, Prediction> {
            @Override
            public void entryAdded(EntryEvent<Object, Prediction> event) {
                Prediction prediction = event.getValue();
                heard.add("event " + event.getKey() + " " + prediction.label() + " " + prediction.score());
            }

            @Override
            public void entryUpdated(EntryEvent<Object, Prediction> event) {
                entryAdded(event);
            }
        }

        predictions.addEntryListener(new Changed(), true); // true: with values
    }

    /** Hears each prediction that is published; without a serializer it is a GenericRecord. */
    static void listenToTopic(ITopic<GenericRecord> topic, BlockingQueue<String> heard) {
        topic.addMessageListener(each -> {
            GenericRecord message = each.getMessageObject();
            heard.add("message " + message.getString("key") + " " + message.getString("label") + " "
                    + message.getFloat64("score"));
        });
    }

    public static void main(String[] arguments) throws InterruptedException {
        ClientConfig config = new ClientConfig().setClusterName(arguments[1]);
        config.getNetworkConfig().addAddress(arguments[0]);
        config.getSerializationConfig().getCompactSerializationConfig().addSerializer(new PredictionSerializer());
        HazelcastInstance client = HazelcastClient.newHazelcastClient(config);
        IMap<Object, Object> transfers = client.getMap("transfers");
        IMap<Object, Prediction> predictions = client.getMap("scam.predictions");
        BlockingQueue<String> heard = new LinkedBlockingQueue<>();
        listenToMap(predictions, heard);
        listenToTopic(client.getTopic("scam.predictions"), heard);

        Map<Object, Object> records = new LinkedHashMap<>(); // under three keys: STRING, LONG, INT
        records.put("order-1", new Transfer(912.35, 3, 81.7));
        records.put(4711L, new HazelcastJsonValue("{\"amount\": 12.5, \"hour\": 15, \"distance\": 1.25}"));
        records.put(4711, new Transfer(312.5, 12, 81.7));
        records.forEach(transfers::set);
        for (int i = 0; i < 6; i++) { // an event and a message of each
            System.out.println(heard.take());
        }
        for (Object key : records.keySet()) {
            Prediction found = predictions.get(key); // null, if there is none
            System.out.println("read " + key + " " + found.label() + " " + found.score() + " " + found.version());
        }
        client.shutdown();
    }
}
