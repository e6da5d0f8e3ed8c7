import com.hazelcast.core.HazelcastJsonValue;
import com.hazelcast.map.MapLoader;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** A store that has a record for each key, and loads one only when it is asked for it. */
public final class JsonLoader implements MapLoader<Long, HazelcastJsonValue> {
    @Override
    public HazelcastJsonValue load(Long key) {
        return new HazelcastJsonValue("{\"amount\": " + key + ".5, \"hour\": 15.0, \"distance\": 1.25}");
    }

    @Override
    public Map<Long, HazelcastJsonValue> loadAll(Collection<Long> keys) {
        Map<Long, HazelcastJsonValue> found = new TreeMap<>();
        keys.forEach(key -> found.put(key, load(key)));
        return found;
    }

    @Override
    public Iterable<Long> loadAllKeys() {
        return List.of();
    }
}
