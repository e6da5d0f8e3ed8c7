import com.hazelcast.internal.serialization.Data;
import com.hazelcast.internal.serialization.SerializationService;
import com.hazelcast.internal.util.HashUtil;
import com.hazelcast.nio.serialization.ClassDefinition;
import com.hazelcast.nio.serialization.ClassDefinitionBuilder;
import com.hazelcast.nio.serialization.genericrecord.GenericRecord;
import com.hazelcast.nio.serialization.genericrecord.GenericRecordBuilder;
import com.hazelcast.partition.strategy.StringPartitioningStrategy;

import java.time.LocalDate;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;

/** Keys of every type: bytes, hash, partitions. */
final class GoldenKeys {
    private static final int[] PARTITION_COUNTS = {271, 31, 1009};

    private final SerializationService service;
    private final List<Map<String, Object>> entries = new ArrayList<>();

    GoldenKeys(SerializationService service) {
        this.service = service;
    }

    List<Map<String, Object>> entries() {
        List<Object> plain = List.of(0L, 4711L, -1L, Long.MIN_VALUE, Long.MAX_VALUE, 4711, -1, Integer.MIN_VALUE,
                Integer.MAX_VALUE, (short) 300, Short.MIN_VALUE, Short.MAX_VALUE, (byte) -1, Byte.MIN_VALUE,
                Byte.MAX_VALUE, 1.5f, -0.0f, Float.MIN_VALUE, Float.NaN, 0.1, -0.0, 4711.0, Double.MAX_VALUE,
                Double.NaN, Double.NEGATIVE_INFINITY, "", "a", "ab", "abc", "abcd", "gr\u00fcn \ud83d\ude00", "\u0000", "\u20ac",
                "a key that is somewhat longer than the others are",
                UUID.fromString("00112233-4455-6677-8899-aabbccddeeff"), new UUID(-1, -1), new byte[] {1, 2, -1},
                new byte[] {}, true, false, 'A', '\u20ac', LocalDate.of(2026, 2, 3));
        plain.forEach(key -> key(key.getClass().getSimpleName(), key, service.toData(key)));
        key("String", "order-1@customer-7",
                service.toData("order-1@customer-7", StringPartitioningStrategy.INSTANCE));
        GenericRecord compact = GenericRecordBuilder.compact("golden.Key").setInt64("id", 4711)
                .setString("shop", "gr\u00fcn").build();
        key("Compact", "id 4711, shop gr\u00fcn", service.toData(compact));
        key("Portable", "id 4711", service.toData(portable()));
        return entries;
    }

    @SuppressWarnings("removal") // Portable is on its way out, but not out.
    private static GenericRecord portable() {
        ClassDefinition definition = new ClassDefinitionBuilder(1, 2).addLongField("id").build();
        return GenericRecordBuilder.portable(definition).setInt64("id", 4711).build();
    }

    private void key(String type, Object value, Data data) {
        Map<String, Object> partitions = new LinkedHashMap<>();
        for (int count : PARTITION_COUNTS) {
            partitions.put(Integer.toString(count), HashUtil.hashToIndex(data.getPartitionHash(), count));
        }
        Map<String, Object> entry = new LinkedHashMap<>();
        entry.put("type", type);
        entry.put("value", value);
        entry.put("data", HexFormat.of().formatHex(data.toByteArray()));
        entry.put("hash", data.hashCode());
        entry.put("partitions", partitions);
        entries.add(entry);
    }

    /** Hashes that stand in a key, and the partition that each means. */
    static List<Map<String, Object>> hashes() {
        List<Map<String, Object>> entries = new ArrayList<>();
        int[] edges = {1, -1, 270, 271, -271, -272, Integer.MAX_VALUE, Integer.MIN_VALUE, Integer.MIN_VALUE + 1};
        for (int hash : edges) {
            for (int count : PARTITION_COUNTS) {
                Map<String, Object> entry = new LinkedHashMap<>();
                entry.put("hash", hash);
                entry.put("count", count);
                entry.put("partition", HashUtil.hashToIndex(hash, count));
                entries.add(entry);
            }
        }
        return entries;
    }
}
