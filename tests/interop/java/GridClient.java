import com.hazelcast.client.config.ClientConfig;
import com.hazelcast.map.IMap;
import com.hazelcast.nio.serialization.genericrecord.GenericRecord;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Predicate;

/** What the programs share: how to connect, to wait for a prediction, and to print a record. */
final class GridClient {
    static final long WAIT_NANOS_MAX = TimeUnit.SECONDS.toNanos(20);
    private static final long CONNECT_MILLIS_MAX = 20_000;
    private static final long POLL_MILLIS = 5;

    private GridClient() {
    }

    /** For a program whose first arguments are address and name of the cluster. */
    static ClientConfig config(String[] arguments) {
        ClientConfig config = new ClientConfig().setClusterName(arguments[1]);
        config.getNetworkConfig().addAddress(arguments[0]);
        config.getConnectionStrategyConfig().getConnectionRetryConfig()
                .setClusterConnectTimeoutMillis(CONNECT_MILLIS_MAX);
        return config;
    }

    /** The prediction of a key, once there is one that is wanted. */
    static <K> GenericRecord await(IMap<K, GenericRecord> predictions, K key, Predicate<GenericRecord> wanted)
            throws Exception {
        long start = System.nanoTime();
        GenericRecord last = null;
        while (System.nanoTime() - start < WAIT_NANOS_MAX) {
            last = predictions.get(key);
            if (last != null && wanted.test(last)) {
                return last;
            }
            Thread.sleep(POLL_MILLIS);
        }
        throw new TimeoutException("no prediction of the key " + key + "; the last one read is " + last);
    }

    /** The fields of a prediction, a message or a record of numbers; null for null. */
    static Map<String, Object> fields(GenericRecord record) {
        if (record == null) {
            return null;
        }
        Map<String, Object> fields = new LinkedHashMap<>();
        for (String name : record.getFieldNames()) {
            fields.put(name, field(record, name));
        }
        return fields;
    }

    private static Object field(GenericRecord record, String name) {
        return switch (record.getFieldKind(name)) {
            case STRING -> record.getString(name);
            case INT32 -> record.getInt32(name);
            case INT64 -> record.getInt64(name);
            case FLOAT64 -> record.getFloat64(name);
            case ARRAY_OF_INT8 -> record.getArrayOfInt8(name);
            case ARRAY_OF_FLOAT64 -> record.getArrayOfFloat64(name);
            default -> "a field of the kind " + record.getFieldKind(name);
        };
    }
}
