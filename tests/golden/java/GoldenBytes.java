import com.hazelcast.internal.serialization.InternalSerializationService;
import com.hazelcast.internal.serialization.impl.DefaultSerializationServiceBuilder;
import com.hazelcast.internal.serialization.impl.compact.Schema;
import com.hazelcast.internal.serialization.impl.compact.SchemaService;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** Writes records, keys and other values with Hazelcast's own Java code, as JSON, bytes in hex. See ../README.md. */
public final class GoldenBytes {
    private GoldenBytes() {
    }

    public static void main(String[] arguments) throws Exception {
        Path folder = Path.of(arguments[0]);
        InternalSerializationService service =
                new DefaultSerializationServiceBuilder().setSchemaService(new Schemas()).build();
        Files.writeString(folder.resolve("records.json"), Json.lines(new GoldenRecords(service).entries()));
        Files.writeString(folder.resolve("keys.json"), Json.lines(new GoldenKeys(service).entries()));
        Files.writeString(folder.resolve("hashes.json"), Json.lines(GoldenKeys.hashes()));
        Files.writeString(folder.resolve("values.json"), Json.lines(new GoldenValues(service).entries()));
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
