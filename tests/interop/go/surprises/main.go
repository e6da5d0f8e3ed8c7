// What the page of Go says of its surprises, done: prints what was seen as one line of JSON. Arguments: address and name of
// the cluster.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"reflect"
	"time"

	"github.com/hazelcast/hazelcast-go-client"
	"github.com/hazelcast/hazelcast-go-client/serialization"
	"github.com/hazelcast/hazelcast-go-client/types"
)

// Account and Shop are what a careful program calls its keys.
type (
	Account int64
	Shop    string
)

// Parcel has a field of each kind that surprises.
type Parcel struct {
	Count  *int64
	Moment types.OffsetDateTime
	Price  types.Decimal
	Stamp  types.LocalDateTime
}

type parcelSerializer struct{}

func (parcelSerializer) Type() reflect.Type { return reflect.TypeOf(Parcel{}) }
func (parcelSerializer) TypeName() string   { return "go-values" }
func (parcelSerializer) Read(r serialization.CompactReader) interface{} {
	return Parcel{r.ReadNullableInt64("count"), *r.ReadTimestampWithTimezone("moment"), *r.ReadDecimal("price"),
		*r.ReadTimestamp("stamp")}
}
func (parcelSerializer) Write(w serialization.CompactWriter, value interface{}) {
	p := value.(Parcel)
	if p.Price.UnscaledValue() == nil {
		p.Price = types.NewDecimal(new(big.Int), 0)
	}
	w.WriteNullableInt64("count", p.Count)
	w.WriteTimestampWithTimezone("moment", &p.Moment)
	w.WriteDecimal("price", &p.Price)
	w.WriteTimestamp("stamp", &p.Stamp)
}

// Prices has a serializer for the struct alone.
type Prices struct{ Amount float64 }

type pricesSerializer struct{}

func (pricesSerializer) Type() reflect.Type { return reflect.TypeOf(Prices{}) }
func (pricesSerializer) TypeName() string   { return "go-prices" }
func (pricesSerializer) Read(r serialization.CompactReader) interface{} {
	return Prices{r.ReadFloat64("amount")}
}
func (pricesSerializer) Write(w serialization.CompactWriter, value interface{}) {
	w.WriteFloat64("amount", value.(Prices).Amount)
}

// Wanted asks for a number that a record of Python's may lack, or hold as a null.
type Wanted struct{}

type wantedSerializer struct{}

func (wantedSerializer) Type() reflect.Type { return reflect.TypeOf(Wanted{}) }
func (wantedSerializer) TypeName() string   { return "go-wanted" }
func (wantedSerializer) Read(r serialization.CompactReader) interface{} {
	return r.ReadInt64("wanted")
}
func (wantedSerializer) Write(w serialization.CompactWriter, value interface{}) {
	w.WriteInt64("wanted", 0)
}

// Partial leaves a field out, or has one more, for a later object.
type Partial struct{ Left, Added bool }

type partialSerializer struct{}

func (partialSerializer) Type() reflect.Type { return reflect.TypeOf(Partial{}) }
func (partialSerializer) TypeName() string   { return "go-partial" }
func (partialSerializer) Read(r serialization.CompactReader) interface{} {
	count, other := r.ReadNullableInt64("count"), r.ReadNullableInt64("other")
	if count == nil || other == nil {
		return fmt.Sprint(count, other)
	}
	return fmt.Sprint(*count, " ", *other)
}
func (partialSerializer) Write(w serialization.CompactWriter, value interface{}) {
	p, count, other := value.(Partial), int64(7), int64(8)
	w.WriteNullableInt64("other", &other)
	if !p.Left {
		w.WriteNullableInt64("count", &count)
	}
	if p.Added {
		w.WriteBoolean("added", true)
	}
}

func said(value interface{}, err error) interface{} {
	if err != nil {
		return "error: " + err.Error()
	}
	return fmt.Sprint(value)
}

func main() {
	ctx := context.Background()
	config := hazelcast.Config{}
	config.Cluster.Name = os.Args[2]
	config.Cluster.Network.SetAddresses(os.Args[1])
	config.Serialization.Compact.SetSerializers(parcelSerializer{}, partialSerializer{}, pricesSerializer{},
		wantedSerializer{})
	client, err := hazelcast.StartNewClientWithConfig(ctx, config)
	if err != nil {
		panic(err)
	}
	defer client.Shutdown(ctx)
	seen := map[string]interface{}{}
	keys(ctx, client, seen)
	values(ctx, client, seen)
	json.NewEncoder(os.Stdout).Encode(seen)
}

// keys puts a record under a key of each type; its value names the type.
func keys(ctx context.Context, client *hazelcast.Client, seen map[string]interface{}) {
	m, _ := client.GetMap(ctx, "go-keys")
	for _, key := range []interface{}{
		4711, int64(4712), int32(4711), int16(4711), int8(47), uint8(48), uint16(4711), uint32(4711), uint64(4711), float32(0.5),
		0.5, "a", true, types.NewUUIDWith(1, 2), Account(4711), Shop("a"),
	} {
		name := reflect.TypeOf(key).String()
		text := serialization.JSON(fmt.Sprintf(`{"type": %q}`, name))
		seen["put "+name] = said("stored", m.Set(ctx, key, text))
		found, err := m.Get(ctx, key)
		seen["get "+name] = said(found, err)
	}
}

func values(ctx context.Context, client *hazelcast.Client, seen map[string]interface{}) {
	m, _ := client.GetMap(ctx, "go-values")
	berlin := time.FixedZone("", 2*3600)
	noon := time.Date(2026, 7, 1, 12, 0, 0, 123456789, berlin)
	price, _ := new(big.Int).SetString("1234567890123456789012", 10)
	value := Parcel{nil, types.OffsetDateTime(noon), types.NewDecimal(price, 2), types.LocalDateTime(noon)}
	seen["put value"] = said("stored", m.Set(ctx, "value", value))
	seen["put pointer"] = said("stored", m.Set(ctx, "pointer", &value))
	seen["put map"] = said("stored", m.Set(ctx, "map", map[string]float64{"amount": 1}))
	seen["put Prices pointer"] = said("stored", m.Set(ctx, "prices", &Prices{1}))
	seen["put without serializer"] = said("stored", m.Set(ctx, "struct", struct{ Amount float64 }{1}))
	seen["put text"] = said("stored", m.Set(ctx, "text", `{"amount": 1}`))
	seen["put bytes"] = said("stored", m.Set(ctx, "bytes", []byte(`{"amount": 1}`)))
	found, err := m.Get(ctx, "value")
	if err == nil {
		p := found.(Parcel)
		seen["price"], seen["price as float64"] = p.Price.String(), p.Price.Float64()
		seen["moment"], seen["stamp"] = p.Moment.String(), p.Stamp.String()
		seen["same instant"] = time.Time(p.Stamp).Equal(noon)
	}
	for _, p := range []struct {
		name  string
		value Partial
	}{{"whole", Partial{}}, {"left out", Partial{Left: true}}, {"added", Partial{Added: true}}} {
		seen["put "+p.name] = said("stored", m.Set(ctx, p.name, p.value))
		found, err := m.Get(ctx, p.name)
		seen["get "+p.name] = said(found, err)
	}
	w, _ := client.GetMap(ctx, "go-wanted")
	for _, name := range []string{"number", "nullable", "null", "absent"} {
		found, err := w.Get(ctx, name)
		seen["get "+name] = said(found, err)
	}
	var loose map[string]interface{}
	json.Unmarshal([]byte(`{"n": 9007199254740993}`), &loose)
	seen["json 2^53+1"] = fmt.Sprintf("%.0f", loose["n"])
}
