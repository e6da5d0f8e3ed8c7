import com.hazelcast.internal.serialization.Data;
import com.hazelcast.internal.serialization.InternalSerializationService;
import com.hazelcast.internal.serialization.impl.DefaultSerializationServiceBuilder;
import com.hazelcast.internal.serialization.impl.compact.CompactGenericRecord;
import com.hazelcast.internal.serialization.impl.compact.Schema;
import com.hazelcast.internal.serialization.impl.compact.SchemaService;
import com.hazelcast.internal.util.HashUtil;
import com.hazelcast.nio.serialization.FieldKind;
import com.hazelcast.nio.serialization.genericrecord.GenericRecord;
import com.hazelcast.nio.serialization.genericrecord.GenericRecordBuilder;
import com.hazelcast.partition.strategy.StringPartitioningStrategy;

import java.io.IOException;
import java.lang.reflect.Array;
import java.math.BigDecimal;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.StringJoiner;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;

/** Writes keys and Compact records with Hazelcast's own Java code, as JSON with the bytes in hex. See ../README.md. */
public final class GoldenBytes {
    private static final int DATA_BYTES_MAX = 4096;
    private static final int TEXT_CHARS_MAX = 200;
    private static final int[] PARTITION_COUNTS = {271, 31, 1009};

    private final InternalSerializationService service =
            new DefaultSerializationServiceBuilder().setSchemaService(new Schemas()).build();
    private final StringJoiner records = new StringJoiner(",\n", "[\n", "\n]\n");
    private final StringJoiner keys = new StringJoiner(",\n", "[\n", "\n]\n");

    public static void main(String[] arguments) throws Exception {
        Path folder = Path.of(arguments[0]);
        GoldenBytes golden = new GoldenBytes();
        golden.allRecords();
        golden.allKeys();
        Files.writeString(folder.resolve("records.json"), golden.records.toString());
        Files.writeString(folder.resolve("keys.json"), golden.keys.toString());
        Files.writeString(folder.resolve("hashes.json"), hashes());
    }

    // ---- records

    private void allRecords() throws Exception {
        record("no fields", builder("golden.Empty"));
        numbers();
        nullables();
        arrays();
        arraysOfNullables();
        texts();
        GenericRecordBuilder transaction = builder("golden.Transaction");
        for (int i = 0; i < 30; i++) {
            transaction.setFloat32("V" + i, (float) Math.sin(i));
        }
        record("thirty floats", transaction);
        GenericRecordBuilder flags = builder("golden.Flags");
        for (int i = 0; i < 17; i++) {
            flags.setBoolean("flag" + i, i % 3 == 0);
        }
        record("seventeen booleans", flags);
        record("kinds that are not read yet", builder("golden.Others").setFloat64("amount", 12.5)
                .setDecimal("decimal", new BigDecimal("123.45")).setTime("time", LocalTime.of(1, 2, 3, 4))
                .setDate("date", LocalDate.of(2026, 2, 3)).setTimestamp("timestamp", LocalDateTime.of(2026, 2, 3, 4, 5))
                .setTimestampWithTimezone("zoned", OffsetDateTime.of(2026, 2, 3, 4, 5, 6, 7, ZoneOffset.ofHours(2)))
                .setGenericRecord("nested", builder("golden.Nested").setInt32("x", 1).build())
                .setArrayOfDecimal("decimals", new BigDecimal[] {BigDecimal.ONE, null})
                .setNullableInt32("after", 7).setString("text", "here"));
    }

    private void numbers() throws Exception {
        record("least numbers", builder("golden.Numbers").setInt8("int8", Byte.MIN_VALUE)
                .setInt16("int16", Short.MIN_VALUE).setInt32("int32", Integer.MIN_VALUE)
                .setInt64("int64", Long.MIN_VALUE).setFloat32("float32", -Float.MAX_VALUE)
                .setFloat64("float64", -Double.MAX_VALUE).setBoolean("boolean", false).setInt64("again", 0));
        record("greatest numbers", builder("golden.Numbers").setInt8("int8", Byte.MAX_VALUE)
                .setInt16("int16", Short.MAX_VALUE).setInt32("int32", Integer.MAX_VALUE)
                .setInt64("int64", Long.MAX_VALUE).setFloat32("float32", Float.MIN_VALUE)
                .setFloat64("float64", Double.MIN_VALUE).setBoolean("boolean", true).setInt64("again", -1));
        record("not finite", builder("golden.Floats").setFloat32("a", Float.NaN).setFloat64("b", Double.NaN)
                .setFloat32("c", Float.POSITIVE_INFINITY).setFloat64("d", Double.NEGATIVE_INFINITY)
                .setFloat32("e", -0.0f).setFloat64("f", -0.0));
    }

    private void nullables() throws Exception {
        record("nullable, there", builder("golden.Nullable").setInt32("id", 1).setNullableBoolean("boolean", true)
                .setNullableInt8("int8", (byte) -1).setNullableInt16("int16", (short) 300)
                .setNullableInt32("int32", 70_000)
                .setNullableInt64("int64", 1L << 40).setNullableFloat32("float32", 1.5f)
                .setNullableFloat64("float64", 0.1));
        record("nullable, null", builder("golden.Nullable").setInt32("id", 2).setNullableBoolean("boolean", null)
                .setNullableInt8("int8", null).setNullableInt16("int16", null).setNullableInt32("int32", null)
                .setNullableInt64("int64", null).setNullableFloat32("float32", null)
                .setNullableFloat64("float64", null));
        record("nullable, some", builder("golden.Nullable").setInt32("id", 3).setNullableBoolean("boolean", false)
                .setNullableInt8("int8", null).setNullableInt16("int16", (short) -1).setNullableInt32("int32", null)
                .setNullableInt64("int64", -1L).setNullableFloat32("float32", null).setNullableFloat64("float64", 2.0));
    }

    private void arrays() throws Exception {
        record("arrays", builder("golden.Arrays")
                .setArrayOfBoolean("boolean", new boolean[] {true, false, true, true, false, false, true, false, true})
                .setArrayOfInt8("int8", new byte[] {1, -1}).setArrayOfInt16("int16", new short[] {300})
                .setArrayOfInt32("int32", new int[] {}).setArrayOfInt64("int64", new long[] {Long.MIN_VALUE, 1})
                .setArrayOfFloat32("float32", new float[] {0.1f, -2}).setArrayOfFloat64("float64", null)
                .setArrayOfString("string", new String[] {"", null, "grün"}));
    }

    private void arraysOfNullables() throws Exception {
        record("arrays of nullables", builder("golden.NullableArrays")
                .setArrayOfNullableBoolean("boolean", new Boolean[] {true, null, false})
                .setArrayOfNullableInt8("int8", new Byte[] {})
                .setArrayOfNullableInt16("int16", new Short[] {null, null})
                .setArrayOfNullableInt32("int32", new Integer[] {1, null, -1}).setArrayOfNullableInt64("int64", null)
                .setArrayOfNullableFloat32("float32", new Float[] {1.5f, null})
                .setArrayOfNullableFloat64("float64", new Double[] {null, 0.1}));
    }

    private void texts() throws Exception {
        record("names in UTF-16 order", builder("golden.Näme").setInt8("\uffee", (byte) 1)
                .setInt8("\ud83d\ude00", (byte) 2).setInt8("", (byte) 3).setString("z", "\ud83d\ude00 grün"));
        for (int size : new int[] {245, 246, 247, 65_530, 70_000}) {
            record("a string of " + size, builder("golden.Text").setString("text", "x".repeat(size))
                    .setNullableInt8("after", null).setNullableInt16("before", (short) 2));
        }
    }

    private static GenericRecordBuilder builder(String typeName) {
        return GenericRecordBuilder.compact(typeName);
    }

    private void record(String name, GenericRecordBuilder builder) throws Exception {
        GenericRecord record = builder.build();
        byte[] data = service.toData(record).toByteArray();
        Map<String, Object> kinds = new LinkedHashMap<>();
        Map<String, Object> values = new LinkedHashMap<>();
        for (String field : record.getFieldNames()) {
            FieldKind kind = record.getFieldKind(field);
            kinds.put(field, kind.getId());
            values.put(field, value(record, field, kind));
        }
        Map<String, Object> entry = new LinkedHashMap<>();
        entry.put("name", name);
        Schema schema = ((CompactGenericRecord) service.toObject(service.toData(record))).getSchema();
        entry.put("type_name", schema.getTypeName());
        entry.put("schema_id", schema.getSchemaId());
        entry.put("kinds", kinds);
        entry.put("values", values);
        entry.put("digest", InputDigest.of(data));
        entry.put("sha256", HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(data)));
        entry.put("data", data.length > DATA_BYTES_MAX ? null : HexFormat.of().formatHex(data));
        records.add(json(entry));
    }

    private static Object value(GenericRecord record, String field, FieldKind kind) throws Exception {
        if (kind.getId() >= FieldKind.DECIMAL.getId() && kind.getId() <= FieldKind.ARRAY_OF_COMPACT.getId()) {
            return "not read yet";
        }
        StringBuilder getter = new StringBuilder("get");
        for (String word : kind.name().split("_")) {
            getter.append(word.equals("OF") ? "Of" : word.charAt(0) + word.substring(1).toLowerCase());
        }
        return GenericRecord.class.getMethod(getter.toString(), String.class).invoke(record, field);
    }

    // ---- keys

    private void allKeys() throws IOException {
        List<Object> values = List.of(0L, 4711L, -1L, Long.MIN_VALUE, Long.MAX_VALUE, 4711, -1, Integer.MIN_VALUE,
                (short) 300, (byte) -1, 1.5f, 0.1, Double.NaN, "", "a", "ab", "abc", "abcd", "grün \ud83d\ude00",
                "a key that is somewhat longer than the others are",
                UUID.fromString("00112233-4455-6677-8899-aabbccddeeff"),
                new byte[] {1, 2, -1}, true, LocalDate.of(2026, 2, 3));
        for (Object value : values) {
            key(value, service.toData(value));
        }
        key("order-1@customer-7", service.toData("order-1@customer-7", StringPartitioningStrategy.INSTANCE));
    }

    private void key(Object value, Data data) {
        Map<String, Object> partitions = new LinkedHashMap<>();
        for (int count : PARTITION_COUNTS) {
            partitions.put(Integer.toString(count), HashUtil.hashToIndex(data.getPartitionHash(), count));
        }
        Map<String, Object> entry = new LinkedHashMap<>();
        entry.put("type", value.getClass().getSimpleName());
        entry.put("value", value instanceof Number || value instanceof byte[] ? value : value.toString());
        entry.put("data", HexFormat.of().formatHex(data.toByteArray()));
        entry.put("hash", data.hashCode());
        entry.put("partitions", partitions);
        keys.add(json(entry));
    }

    private static String hashes() {
        StringJoiner lines = new StringJoiner(",\n", "[\n", "\n]\n");
        int[] edges = {1, -1, 270, 271, -271, -272, Integer.MAX_VALUE, Integer.MIN_VALUE, Integer.MIN_VALUE + 1};
        for (int hash : edges) {
            for (int count : PARTITION_COUNTS) {
                int partition = HashUtil.hashToIndex(hash, count);
                lines.add(String.format("{\"hash\": %d, \"count\": %d, \"partition\": %d}", hash, count, partition));
            }
        }
        return lines.toString();
    }

    // ---- JSON

    private static String json(Object value) {
        if (value instanceof Map<?, ?> map) {
            StringJoiner joined = new StringJoiner(", ", "{", "}");
            map.forEach((name, each) -> joined.add(json(name) + ": " + json(each)));
            return joined.toString();
        }
        if (value != null && value.getClass().isArray()) {
            StringJoiner joined = new StringJoiner(", ", "[", "]");
            for (int i = 0; i < Array.getLength(value); i++) {
                joined.add(json(Array.get(value, i)));
            }
            return joined.toString();
        }
        if (value instanceof String text) {
            String repeat = "{\"repeat\": " + quoted(text.substring(0, Math.min(1, text.length()))) + ", \"times\": ";
            boolean longAndDull = text.length() > TEXT_CHARS_MAX && text.chars().distinct().count() == 1;
            return longAndDull ? repeat + text.length() + "}" : quoted(text);
        }
        // A float as the double of the same value; NaN and Infinity as Python reads them.
        return value instanceof Float number ? Double.toString(number) : String.valueOf(value);
    }

    private static String quoted(String text) {
        StringBuilder quoted = new StringBuilder("\"");
        for (char each : text.toCharArray()) {
            boolean plain = each >= ' ' && each < 127 && each != '"' && each != '\\';
            quoted.append(plain ? String.valueOf(each) : String.format("\\u%04x", (int) each));
        }
        return quoted.append('"').toString();
    }

    /** Schemas of this one process. */
    private static final class Schemas implements SchemaService {
        private final Map<Long, Schema> known = new ConcurrentHashMap<>();

        @Override
        public Schema get(long schemaId) {
            return known.get(schemaId);
        }

        @Override
        public void put(Schema schema) {
            known.put(schema.getSchemaId(), schema);
        }

        @Override
        public void putLocal(Schema schema) {
            put(schema);
        }
    }
}
