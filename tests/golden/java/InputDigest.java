/** The input digest as grid_inference/wire/digest.py writes it down, for a checker that shares no code with it. */
final class InputDigest {
    private static final long SEED = 0x677269642D696E66L;
    private static final long STEP = 0x9E3779B97F4A7C15L;
    private static final int HEADER_BYTES = 8;

    private InputDigest() {
    }

    /** The digest of a whole Data: partition hash, type id, payload. */
    static long of(byte[] data) {
        long size = Math.max(data.length - HEADER_BYTES, 0);
        long h = size * STEP;
        for (int at = HEADER_BYTES, i = 0; at < data.length; at += 8, i++) {
            long x = word(data, at);
            x = (x ^ (x >>> 32)) * factor(i);
            h += x ^ (x >>> 29);
        }
        h = (h ^ (h >>> 33)) * 0xFF51AFD7ED558CCDL;
        h = (h ^ (h >>> 33)) * 0xC4CEB9FE1A85EC53L;
        return h ^ (h >>> 33);
    }

    private static long word(byte[] data, int at) {
        long word = 0;
        for (int i = Math.min(8, data.length - at) - 1; i >= 0; i--) {
            word = word << 8 | data[at + i] & 0xFF;
        }
        return word;
    }

    private static long factor(int i) {
        long z = SEED + (i + 1) * STEP;
        z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
        z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
        return (z ^ (z >>> 31)) | 1;
    }
}
