import com.hazelcast.internal.serialization.InternalSerializationService;
import com.hazelcast.nio.serialization.genericrecord.GenericRecord;
import com.hazelcast.nio.serialization.genericrecord.GenericRecordBuilder;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Compact records of every kind of field, with the values at its boundaries and its nulls. */
final class GoldenRecords {
    private static final LocalDateTime BEFORE_1970 = LocalDateTime.of(1969, 12, 31, 23, 59, 59, 999_999_999);
    private static final LocalDateTime LAST_MICROSECOND = LocalDateTime.of(9999, 12, 31, 23, 59, 59, 999_999_000);
    private static final LocalDateTime LEAP_DAY = LocalDateTime.of(2024, 2, 29, 12, 34, 56, 789_012_345);
    private static final LocalDate FIRST_DAY = LocalDate.of(1, 1, 1);

    private final InternalSerializationService service;
    private final List<Map<String, Object>> entries = new ArrayList<>();

    GoldenRecords(InternalSerializationService service) {
        this.service = service;
    }

    List<Map<String, Object>> entries() throws Exception {
        record("no fields", builder("golden.Empty"));
        numbers();
        nullables();
        arrays();
        arraysOfNullables();
        texts();
        offsets();
        decimals();
        datesAndTimes();
        arraysOfObjects();
        nested();
        evolution();
        manyFields();
        javaRecord();
        return entries;
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
        record("nullable, least", builder("golden.Nullable").setInt32("id", 4).setNullableBoolean("boolean", false)
                .setNullableInt8("int8", Byte.MIN_VALUE).setNullableInt16("int16", Short.MIN_VALUE)
                .setNullableInt32("int32", Integer.MIN_VALUE).setNullableInt64("int64", Long.MIN_VALUE)
                .setNullableFloat32("float32", Float.NaN).setNullableFloat64("float64", Double.NEGATIVE_INFINITY));
    }

    private void arrays() throws Exception {
        record("arrays", builder("golden.Arrays")
                .setArrayOfBoolean("boolean", new boolean[] {true, false, true, true, false, false, true, false, true})
                .setArrayOfInt8("int8", new byte[] {1, -1}).setArrayOfInt16("int16", new short[] {300})
                .setArrayOfInt32("int32", new int[] {}).setArrayOfInt64("int64", new long[] {Long.MIN_VALUE, 1})
                .setArrayOfFloat32("float32", new float[] {0.1f, -2}).setArrayOfFloat64("float64", null)
                .setArrayOfString("string", new String[] {"", null, "gr\u00fcn"}));
        record("arrays, null", builder("golden.Arrays").setArrayOfBoolean("boolean", null)
                .setArrayOfInt8("int8", null).setArrayOfInt16("int16", null).setArrayOfInt32("int32", null)
                .setArrayOfInt64("int64", null).setArrayOfFloat32("float32", null).setArrayOfFloat64("float64", null)
                .setArrayOfString("string", null));
        record("arrays, empty", builder("golden.Arrays").setArrayOfBoolean("boolean", new boolean[] {})
                .setArrayOfInt8("int8", new byte[] {}).setArrayOfInt16("int16", new short[] {})
                .setArrayOfInt32("int32", new int[] {}).setArrayOfInt64("int64", new long[] {})
                .setArrayOfFloat32("float32", new float[] {}).setArrayOfFloat64("float64", new double[] {})
                .setArrayOfString("string", new String[] {}));
        record("arrays, least and greatest", builder("golden.Arrays")
                .setArrayOfBoolean("boolean", new boolean[] {true, true, true, true, true, true, true, false})
                .setArrayOfInt8("int8", new byte[] {Byte.MIN_VALUE, Byte.MAX_VALUE})
                .setArrayOfInt16("int16", new short[] {Short.MIN_VALUE, Short.MAX_VALUE})
                .setArrayOfInt32("int32", new int[] {Integer.MIN_VALUE, Integer.MAX_VALUE})
                .setArrayOfInt64("int64", new long[] {Long.MIN_VALUE, Long.MAX_VALUE})
                .setArrayOfFloat32("float32", new float[] {Float.NaN, Float.MIN_VALUE, -0.0f})
                .setArrayOfFloat64("float64", new double[] {Double.NaN, Double.MAX_VALUE, Double.NEGATIVE_INFINITY})
                .setArrayOfString("string", new String[] {"\ud83d\ude00"}));
    }

    private void arraysOfNullables() throws Exception {
        record("arrays of nullables", builder("golden.NullableArrays")
                .setArrayOfNullableBoolean("boolean", new Boolean[] {true, null, false})
                .setArrayOfNullableInt8("int8", new Byte[] {})
                .setArrayOfNullableInt16("int16", new Short[] {null, null})
                .setArrayOfNullableInt32("int32", new Integer[] {1, null, -1}).setArrayOfNullableInt64("int64", null)
                .setArrayOfNullableFloat32("float32", new Float[] {1.5f, null})
                .setArrayOfNullableFloat64("float64", new Double[] {null, 0.1}));
        record("arrays of nullables, null", builder("golden.NullableArrays")
                .setArrayOfNullableBoolean("boolean", null).setArrayOfNullableInt8("int8", null)
                .setArrayOfNullableInt16("int16", null).setArrayOfNullableInt32("int32", null)
                .setArrayOfNullableInt64("int64", null).setArrayOfNullableFloat32("float32", null)
                .setArrayOfNullableFloat64("float64", null));
        record("arrays of nullables, empty", builder("golden.NullableArrays")
                .setArrayOfNullableBoolean("boolean", new Boolean[] {}).setArrayOfNullableInt8("int8", new Byte[] {})
                .setArrayOfNullableInt16("int16", new Short[] {}).setArrayOfNullableInt32("int32", new Integer[] {})
                .setArrayOfNullableInt64("int64", new Long[] {}).setArrayOfNullableFloat32("float32", new Float[] {})
                .setArrayOfNullableFloat64("float64", new Double[] {}));
        record("arrays of nullables, least and greatest", builder("golden.NullableArrays")
                .setArrayOfNullableBoolean("boolean", new Boolean[] {null})
                .setArrayOfNullableInt8("int8", new Byte[] {Byte.MIN_VALUE, null, Byte.MAX_VALUE})
                .setArrayOfNullableInt16("int16", new Short[] {Short.MIN_VALUE, Short.MAX_VALUE})
                .setArrayOfNullableInt32("int32", new Integer[] {Integer.MIN_VALUE, Integer.MAX_VALUE})
                .setArrayOfNullableInt64("int64", new Long[] {Long.MIN_VALUE, null, Long.MAX_VALUE})
                .setArrayOfNullableFloat32("float32", new Float[] {Float.NaN, Float.MIN_VALUE})
                .setArrayOfNullableFloat64("float64", new Double[] {Double.NaN, null, -0.0, Double.MAX_VALUE}));
    }

    private void texts() throws Exception {
        record("names in UTF-16 order", builder("golden.N\u00e4me").setInt8("\uffee", (byte) 1)
                .setInt8("\ud83d\ude00", (byte) 2).setInt8("", (byte) 3).setString("z", "\ud83d\ude00 gr\u00fcn"));
        record("strings", builder("golden.Strings").setString("empty", "").setString("null", null)
                .setString("zero", "a\u0000b").setString("quoted", "\"\\\n").setString("two bytes each", "\u0080\u07ff")
                .setString("three bytes each", "\u0800\uffff").setString("four bytes each", "\ud800\udc00\udbff\udfff")
                .setString("combined", "e\u0301").setString("half a surrogate pair", "x\ud83dy"));
        record("emoji", builder("golden.Text").setString("text", "\ud83d\ude00".repeat(30))
                .setNullableInt8("after", (byte) 1).setNullableInt16("before", null));
    }

    /** Sizes around those at which the table of offsets takes two and four bytes for each. */
    private void offsets() throws Exception {
        for (int size : new int[] {245, 246, 247, 248, 249, 65_528, 65_529, 65_530, 70_000}) {
            record("a string of " + size, builder("golden.Text").setString("text", "x".repeat(size))
                    .setNullableInt8("after", null).setNullableInt16("before", (short) 2));
        }
        for (int size : new int[] {250, 251, 65_530, 65_531}) {
            record("an array with a string of " + size, builder("golden.Texts")
                    .setArrayOfString("texts", new String[] {null, "x".repeat(size), null}));
        }
    }

    private void decimals() throws Exception {
        String digits = "1234567890".repeat(7) + "123456";
        record("decimals", builder("golden.Decimals").setDecimal("zero", BigDecimal.ZERO)
                .setDecimal("zero of scale 2", new BigDecimal("0.00")).setDecimal("null", null)
                .setDecimal("negative scale", new BigDecimal("12E+3")).setDecimal("one byte", new BigDecimal(-128))
                .setDecimal("two bytes", new BigDecimal(128)).setDecimal("price", new BigDecimal("-1.50"))
                .setDecimal("nine bytes", new BigDecimal(BigInteger.ONE.shiftLeft(63)))
                .setDecimal("76 digits", new BigDecimal("-" + digits.substring(0, 40) + "." + digits.substring(40))));
        record("decimals beyond Arrow's", builder("golden.LargeDecimals")
                .setDecimal("digits", new BigDecimal(BigInteger.ONE.shiftLeft(1000).negate()))
                .setDecimal("small", BigDecimal.valueOf(1, Integer.MAX_VALUE))
                .setDecimal("large", BigDecimal.valueOf(-1, Integer.MIN_VALUE)));
    }

    private void datesAndTimes() throws Exception {
        record("dates", builder("golden.Dates").setDate("first", FIRST_DAY).setDate("null", null)
                .setDate("last", LAST_MICROSECOND.toLocalDate()).setDate("leap", LEAP_DAY.toLocalDate())
                .setDate("before 1970", BEFORE_1970.toLocalDate()));
        record("times", builder("golden.Times").setTime("midnight", LocalTime.MIDNIGHT).setTime("null", null)
                .setTime("last", LocalTime.MAX).setTime("nanosecond", LocalTime.of(1, 2, 3, 4))
                .setTime("microsecond", LocalTime.of(12, 34, 56, 1_000)).setTime("minute", LocalTime.of(0, 1)));
        record("timestamps", builder("golden.Timestamps").setTimestamp("first", FIRST_DAY.atStartOfDay())
                .setTimestamp("null", null).setTimestamp("last", LAST_MICROSECOND).setTimestamp("leap", LEAP_DAY)
                .setTimestamp("before 1970", BEFORE_1970));
        record("timestamps with time zones", builder("golden.Zoned")
                .setTimestampWithTimezone("utc", LEAP_DAY.atOffset(ZoneOffset.UTC))
                .setTimestampWithTimezone("null", null)
                .setTimestampWithTimezone("most ahead", LEAP_DAY.atOffset(ZoneOffset.MAX))
                .setTimestampWithTimezone("most behind", LAST_MICROSECOND.minusDays(1).atOffset(ZoneOffset.MIN))
                .setTimestampWithTimezone("half an hour", BEFORE_1970.atOffset(ZoneOffset.ofHoursMinutes(5, 30)))
                .setTimestampWithTimezone("a second", LAST_MICROSECOND.atOffset(ZoneOffset.ofTotalSeconds(1))));
        record("years beyond Python's", builder("golden.Years").setFloat64("amount", 12.5).setString("text", "here")
                .setDate("date", LocalDate.MAX).setTimestamp("timestamp", LocalDateTime.MIN)
                .setTimestampWithTimezone("zoned", OffsetDateTime.MAX));
    }

    private void arraysOfObjects() throws Exception {
        GenericRecordBuilder some = objects(
                new BigDecimal[] {BigDecimal.ZERO, null, new BigDecimal("1E+1"), new BigDecimal("-0.05")},
                new LocalTime[] {LocalTime.MIDNIGHT, null, LocalTime.MAX},
                new LocalDate[] {FIRST_DAY, null, LEAP_DAY.toLocalDate()},
                new LocalDateTime[] {FIRST_DAY.atStartOfDay(), null, BEFORE_1970},
                new OffsetDateTime[] {LEAP_DAY.atOffset(ZoneOffset.UTC), null, LEAP_DAY.atOffset(ZoneOffset.MIN)});
        record("arrays of objects", some);
        record("arrays of objects, null", objects(null, null, null, null, null));
        record("arrays of objects, empty", objects(new BigDecimal[] {}, new LocalTime[] {}, new LocalDate[] {},
                new LocalDateTime[] {}, new OffsetDateTime[] {}));
        record("arrays of objects, of nulls", objects(new BigDecimal[] {null}, new LocalTime[] {null, null},
                new LocalDate[] {null}, new LocalDateTime[] {null}, new OffsetDateTime[] {null}));
    }

    private static GenericRecordBuilder objects(BigDecimal[] decimals, LocalTime[] times, LocalDate[] dates,
            LocalDateTime[] timestamps, OffsetDateTime[] zoned) {
        return builder("golden.Objects").setArrayOfDecimal("decimals", decimals).setArrayOfTime("times", times)
                .setArrayOfDate("dates", dates).setArrayOfTimestamp("timestamps", timestamps)
                .setArrayOfTimestampWithTimezone("zoned", zoned);
    }

    private void nested() throws Exception {
        GenericRecord place = builder("golden.Place").setString("city", "Ghent").setFloat64("distance", 1.5)
                .setDate("since", LEAP_DAY.toLocalDate()).build();
        GenericRecord nowhere = builder("golden.Place").setString("city", null).setFloat64("distance", -0.0)
                .setDate("since", null).build();
        GenericRecord number = builder("golden.Number").setInt16("n", (short) 258).build();
        GenericRecord customer = builder("golden.Customer").setNullableInt32("age", 41)
                .setGenericRecord("home", place).build();
        GenericRecord homeless = builder("golden.Customer").setNullableInt32("age", null)
                .setGenericRecord("home", null).build();
        record("nested, one level", order(number, new GenericRecord[] {number, null, number}));
        record("nested, two levels", order(customer, new GenericRecord[] {place, nowhere}));
        record("nested, null within", order(homeless, new GenericRecord[] {}));
        record("nested, null", order(null, null));
        record("nested, of nulls", order(homeless, new GenericRecord[] {null}));
        GenericRecord large = builder("golden.Text").setString("text", "x".repeat(70_000)).build();
        record("nested, large", order(large, new GenericRecord[] {large, null}));
    }

    private static GenericRecordBuilder order(GenericRecord customer, GenericRecord[] items) {
        return builder("golden.Order").setInt64("id", 4711).setGenericRecord("customer", customer)
                .setArrayOfGenericRecord("items", items).setString("note", "behind");
    }

    /** One type at three times: then, with more fields, and with a field of another kind. */
    private void evolution() throws Exception {
        record("evolving, old", builder("golden.Evolving").setFloat64("amount", 1.5).setString("city", "Ghent"));
        record("evolving, more fields", builder("golden.Evolving").setFloat64("amount", 2.5).setString("city", "Porto")
                .setBoolean("paid", true).setNullableInt32("items", 3));
        record("evolving, another kind", builder("golden.Evolving").setNullableFloat64("amount", null)
                .setString("city", null));
    }

    private void manyFields() throws Exception {
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
    }

    private enum Channel { SHOP, WEB }

    private record Payment(double amount, Integer items, char grade, Channel channel, LocalDate day, List<String> tags,
            double[] history) {
    }

    /** A class for which no serializer is written: Hazelcast makes it Compact by itself. */
    private void javaRecord() throws Exception {
        entries.add(RecordEntry.of(service, "a Java record", new Payment(12.5, null, 'B', Channel.WEB,
                LEAP_DAY.toLocalDate(), List.of("new", "gr\u00fcn"), new double[] {1, 2.5})));
    }

    private static GenericRecordBuilder builder(String typeName) {
        return GenericRecordBuilder.compact(typeName);
    }

    private void record(String name, GenericRecordBuilder builder) throws Exception {
        entries.add(RecordEntry.of(service, name, builder.build()));
    }
}
