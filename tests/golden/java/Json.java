import java.lang.reflect.Array;
import java.util.List;
import java.util.Map;
import java.util.StringJoiner;

/** Maps, lists, arrays and single values as JSON that is all ASCII. What JSON has no form for is text. */
final class Json {
    private static final int TEXT_CHARS_MAX = 200;

    private Json() {
    }

    /** One entry a line, so that a change of one shows as one. */
    static String lines(List<?> entries) {
        StringJoiner lines = new StringJoiner(",\n", "[\n", "\n]\n");
        entries.forEach(entry -> lines.add(of(entry)));
        return lines.toString();
    }

    static String of(Object value) {
        if (value instanceof Map<?, ?> map) {
            StringJoiner joined = new StringJoiner(", ", "{", "}");
            map.forEach((name, each) -> joined.add(of(name) + ": " + of(each)));
            return joined.toString();
        }
        if (value instanceof List<?> list) {
            return of(list.toArray());
        }
        if (value != null && value.getClass().isArray()) {
            StringJoiner joined = new StringJoiner(", ", "[", "]");
            for (int i = 0; i < Array.getLength(value); i++) {
                joined.add(of(Array.get(value, i)));
            }
            return joined.toString();
        }
        return single(value);
    }

    private static String single(Object value) {
        if (value instanceof Float number) {
            return Double.toString(number);
        }
        boolean plain = value instanceof Boolean || value instanceof Byte || value instanceof Short
                || value instanceof Integer || value instanceof Long || value instanceof Double;
        // NaN and Infinity as Python reads them.
        return value == null || plain ? String.valueOf(value) : text(value.toString());
    }

    private static String text(String text) {
        if (text.length() <= TEXT_CHARS_MAX || text.chars().distinct().count() > 1) {
            return quoted(text);
        }
        return "{\"repeat\": " + quoted(text.substring(0, 1)) + ", \"times\": " + text.length() + "}";
    }

    private static String quoted(String text) {
        StringBuilder quoted = new StringBuilder("\"");
        for (char each : text.toCharArray()) {
            boolean plain = each >= ' ' && each < 127 && each != '"' && each != '\\';
            quoted.append(plain ? String.valueOf(each) : String.format("\\u%04x", (int) each));
        }
        return quoted.append('"').toString();
    }
}
