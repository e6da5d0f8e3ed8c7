import com.hazelcast.core.HazelcastJsonValue;
import com.hazelcast.internal.serialization.Data;
import com.hazelcast.internal.serialization.SerializationService;
import com.hazelcast.nio.serialization.ClassDefinition;
import com.hazelcast.nio.serialization.ClassDefinitionBuilder;
import com.hazelcast.nio.serialization.genericrecord.GenericRecord;
import com.hazelcast.nio.serialization.genericrecord.GenericRecordBuilder;
import com.hazelcast.query.Predicates;

import java.io.Externalizable;
import java.io.IOException;
import java.io.ObjectInput;
import java.io.ObjectOutput;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;

/** Values that are no Compact records: JSON, and what can't be scored. */
final class GoldenValues {
    private final SerializationService service;
    private final List<Map<String, Object>> entries = new ArrayList<>();

    GoldenValues(SerializationService service) {
        this.service = service;
    }

    List<Map<String, Object>> entries() {
        for (String text : List.of("{}", "{\"amount\":12.5,\"city\":\"Ghent\",\"items\":3}",
                "{ \"city\" : \"\u0141\u00f3d\u017a \ud83d\ude00\",\n  \"amount\" : 1.25E1, \"note\" : null }",
                "{\"city\": \"\\u0141\\ud83d\\ude00\", \"inner\": {\"x\": [1, 2.5, \"a\"]}}")) {
            entry("JSON", text, new HazelcastJsonValue(text));
        }
        entry("Portable", null, portable());
        entry("Serializable", null, new SerializablePayment());
        entry("Externalizable", null, new ExternalizablePayment());
        entry("IdentifiedDataSerializable", null, Predicates.alwaysTrue());
        for (Object value : List.of("Ghent", (byte) 1, true, 'a', (short) 1, 1, 1L, 1.5f, 1.5, new byte[] {1, -1},
                new double[] {12.5, 3}, new UUID(1, 2), new ArrayList<>(List.of(12.5)),
                new HashMap<>(Map.of("amount", 12.5)))) {
            entry(value.getClass().getSimpleName(), null, value);
        }
        return entries;
    }

    @SuppressWarnings("removal") // Portable is on its way out, but not out.
    private static GenericRecord portable() {
        ClassDefinition definition =
                new ClassDefinitionBuilder(1, 3).addDoubleField("amount").addStringField("city").build();
        return GenericRecordBuilder.portable(definition).setFloat64("amount", 12.5).setString("city", "Ghent").build();
    }

    private void entry(String format, String text, Object value) {
        Data data = service.toData(value);
        Map<String, Object> entry = new LinkedHashMap<>();
        entry.put("format", format);
        entry.put("text", text);
        entry.put("type_id", data.getType());
        entry.put("digest", InputDigest.of(data.toByteArray()));
        entry.put("data", HexFormat.of().formatHex(data.toByteArray()));
        entries.add(entry);
    }

    private static final class SerializablePayment implements Serializable {
        private static final long serialVersionUID = 1;
        private final double amount = 12.5;
    }

    /** Externalizable asks for a public class. */
    public static final class ExternalizablePayment implements Externalizable {
        private static final long serialVersionUID = 1;

        @Override
        public void writeExternal(ObjectOutput out) throws IOException {
            out.writeDouble(12.5);
        }

        @Override
        public void readExternal(ObjectInput in) {
            // Nobody reads it back.
        }
    }
}
