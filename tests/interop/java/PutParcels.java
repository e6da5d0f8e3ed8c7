import com.hazelcast.client.HazelcastClient;
import com.hazelcast.core.HazelcastInstance;
import com.hazelcast.core.HazelcastJsonValue;
import com.hazelcast.map.IMap;
import com.hazelcast.nio.serialization.genericrecord.GenericRecord;
import com.hazelcast.nio.serialization.genericrecord.GenericRecordBuilder;

import java.time.LocalDate;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;

/**
 * Puts the parcel of ../test_parcels.py under keys of every type, as Compact and as JSON, and reads the predictions by
 * the same keys; then those of the other clients. Prints what it read as one line of JSON. Arguments: address and name
 * of the cluster, and a JSON text.
 */
public final class PutParcels {
    private static final String TEXT = """
            {
              "returns": null, "rating": 4, "day": "2026-02-03", "city": "\u0141\u00f3d\u017a", "express": true,
              "weights": [0.5, 125e-2], "account": 4000000000, "amount": 12.50, "quantity": 3
            }""";

    private PutParcels() {
    }

    public static void main(String[] arguments) throws Exception {
        Map<String, Object> report = new LinkedHashMap<>();
        try {
            HazelcastInstance client = HazelcastClient.newHazelcastClient(GridClient.config(arguments));
            Map<String, Object> compact = new LinkedHashMap<>();
            compact.put("shared", 4711L);
            for (Object key : List.of(3L, 30, (short) 300, (byte) 3, 3.5f, 3.25, "java", true, 'J', new UUID(3, 3))) {
                compact.put(key.getClass().getSimpleName(), key);
            }
            report.put("compact", put(client, "parcels", compact, parcel()));
            report.put("others", others(client, 1L, 2L));
            HazelcastJsonValue same = new HazelcastJsonValue(arguments[2]);
            report.put("same_text", put(client, "json-parcels", Map.of("Long", 3L), same));
            report.put("own_text", put(client, "json-parcels", Map.of("String", "java"), new HazelcastJsonValue(TEXT)));
        } finally {
            HazelcastClient.shutdownAll();
        }
        System.out.println(Json.of(report));
    }

    private static GenericRecord parcel() {
        return GenericRecordBuilder.compact("parcels").setInt32("quantity", 3).setInt64("account", 4_000_000_000L)
                .setFloat64("amount", 12.5).setBoolean("express", true).setString("city", "\u0141\u00f3d\u017a")
                .setNullableInt32("rating", 4).setNullableInt32("returns", null)
                .setDate("day", LocalDate.of(2026, 2, 3)).setArrayOfFloat64("weights", new double[] {0.5, 1.25})
                .build();
    }

    /** The prediction of each key, by the key's name. */
    private static Map<String, Object> put(HazelcastInstance client, String features, Map<String, Object> keys,
            Object record) throws Exception {
        IMap<Object, Object> parcels = client.getMap(features);
        IMap<Object, GenericRecord> predictions = client.getMap(features + "-late.predictions");
        for (Object key : keys.values()) {
            parcels.put(key, record);
        }
        Map<String, Object> found = new LinkedHashMap<>();
        for (Map.Entry<String, Object> key : keys.entrySet()) {
            found.put(key.getKey(), GridClient.fields(GridClient.await(predictions, key.getValue(), any -> true)));
        }
        return found;
    }

    private static List<Object> others(HazelcastInstance client, Long... keys) {
        IMap<Long, GenericRecord> predictions = client.getMap("parcels-late.predictions");
        return Arrays.stream(keys).<Object>map(key -> GridClient.fields(predictions.get(key))).toList();
    }
}
