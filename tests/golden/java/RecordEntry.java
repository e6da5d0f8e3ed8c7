import com.hazelcast.internal.serialization.Data;
import com.hazelcast.internal.serialization.InternalSerializationService;
import com.hazelcast.internal.serialization.impl.compact.CompactGenericRecord;
import com.hazelcast.internal.serialization.impl.compact.Schema;
import com.hazelcast.nio.serialization.FieldKind;
import com.hazelcast.nio.serialization.genericrecord.GenericRecord;

import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;

/** What records.json says of one record: its bytes, and its fields as Java reads them back from these. */
final class RecordEntry {
    private static final int DATA_BYTES_MAX = 4096;

    private final Map<String, Object> nestedSchemas = new LinkedHashMap<>();

    private RecordEntry() {
    }

    static Map<String, Object> of(InternalSerializationService service, String name, Object written) throws Exception {
        Data data = service.toData(written);
        CompactGenericRecord record = (CompactGenericRecord) service.readAsInternalGenericRecord(data);
        RecordEntry fields = new RecordEntry();
        byte[] bytes = data.toByteArray();
        Map<String, Object> entry = new LinkedHashMap<>();
        entry.put("name", name);
        entry.putAll(schema(record));
        entry.put("values", fields.values(record, ""));
        if (!fields.nestedSchemas.isEmpty()) {
            entry.put("nested", fields.nestedSchemas);
        }
        entry.put("digest", InputDigest.of(bytes));
        entry.put("sha256", HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes)));
        entry.put("data", bytes.length > DATA_BYTES_MAX ? null : HexFormat.of().formatHex(bytes));
        return entry;
    }

    private static Map<String, Object> schema(GenericRecord record) {
        Schema schema = ((CompactGenericRecord) record).getSchema();
        Map<String, Object> kinds = new LinkedHashMap<>();
        for (String field : new TreeSet<>(schema.getFieldNames())) {
            kinds.put(field, schema.getField(field).getKind().getId());
        }
        Map<String, Object> entry = new LinkedHashMap<>();
        entry.put("type_name", schema.getTypeName());
        entry.put("schema_id", schema.getSchemaId());
        entry.put("kinds", kinds);
        return entry;
    }

    /** The fields of a record; `path` is what stands before their names, "a.b." for those of the record b in a. */
    private Map<String, Object> values(GenericRecord record, String path) throws Exception {
        Map<String, Object> values = new LinkedHashMap<>();
        for (String field : new TreeSet<>(record.getFieldNames())) {
            values.put(field, value(record, field, path + field));
        }
        return values;
    }

    private Object value(GenericRecord record, String field, String path) throws Exception {
        FieldKind kind = record.getFieldKind(field);
        if (kind == FieldKind.COMPACT) {
            return nested(record.getGenericRecord(field), path);
        }
        if (kind == FieldKind.ARRAY_OF_COMPACT) {
            return allNested(record.getArrayOfGenericRecord(field), path);
        }
        StringBuilder getter = new StringBuilder("get");
        for (String word : kind.name().split("_")) {
            getter.append(word.charAt(0)).append(word.substring(1).toLowerCase());
        }
        return GenericRecord.class.getMethod(getter.toString(), String.class).invoke(record, field);
    }

    private Object nested(GenericRecord record, String path) throws Exception {
        if (record == null) {
            return null;
        }
        nestedSchemas.put(path, schema(record));
        return values(record, path + ".");
    }

    private List<Object> allNested(GenericRecord[] records, String path) throws Exception {
        if (records == null) {
            return null;
        }
        List<Object> all = new ArrayList<>();
        for (GenericRecord record : records) {
            all.add(nested(record, path));
        }
        return all;
    }
}
