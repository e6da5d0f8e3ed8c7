// Hears what is predicted of transfers, puts three of them, and reads their predictions.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"reflect"

	"github.com/hazelcast/hazelcast-go-client"
	"github.com/hazelcast/hazelcast-go-client/serialization"
)

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

// Transfer is our record.
type Transfer struct {
	Amount   float64
	Hour     int32
	Distance *float64 // nil: it is not known
}

type transferSerializer struct{}

func (transferSerializer) Type() reflect.Type { return reflect.TypeOf(Transfer{}) }
func (transferSerializer) TypeName() string   { return "transfers" }

func (transferSerializer) Read(r serialization.CompactReader) interface{} {
	return Transfer{r.ReadFloat64("amount"), r.ReadInt32("hour"), r.ReadNullableFloat64("distance")}
}

func (transferSerializer) Write(w serialization.CompactWriter, value interface{}) {
	t := value.(Transfer)
	w.WriteFloat64("amount", t.Amount)
	w.WriteNullableFloat64("distance", t.Distance)
	w.WriteInt32("hour", t.Hour)
}

// Prediction is a grid_inference.Prediction, as far as we want to know it.
type Prediction struct {
	Label       *string // nil: of a regressor
	Score       float64
	Scores      []float64 // nil: of a regressor of one output, of an outlier detector
	Version     int32
	InputDigest int64
}

type predictionSerializer struct{}

func (predictionSerializer) Type() reflect.Type { return reflect.TypeOf(Prediction{}) }
func (predictionSerializer) TypeName() string   { return "grid_inference.Prediction" }

func (predictionSerializer) Read(r serialization.CompactReader) interface{} {
	return Prediction{
		Label:       r.ReadString("label"),
		Score:       r.ReadFloat64("score"),
		Scores:      r.ReadArrayOfFloat64("scores"),
		Version:     r.ReadInt32("version"),
		InputDigest: r.ReadInt64("input_digest"),
	}
}

func (predictionSerializer) Write(w serialization.CompactWriter, value interface{}) {
	p := value.(Prediction) // the zero value, once, when the client starts
	w.WriteString("label", p.Label)
	w.WriteFloat64("score", p.Score)
	w.WriteArrayOfFloat64("scores", p.Scores)
	w.WriteInt32("version", p.Version)
	w.WriteInt64("input_digest", p.InputDigest)
}

// Message is a grid_inference.PredictionMessage.
type Message struct {
	Key   *string
	Label *string
	Score float64
}

type messageSerializer struct{}

func (messageSerializer) Type() reflect.Type { return reflect.TypeOf(Message{}) }
func (messageSerializer) TypeName() string   { return "grid_inference.PredictionMessage" }

func (messageSerializer) Read(r serialization.CompactReader) interface{} {
	return Message{r.ReadString("key"), r.ReadString("label"), r.ReadFloat64("score")}
}

func (messageSerializer) Write(w serialization.CompactWriter, value interface{}) {
	m := value.(Message)
	w.WriteString("key", m.Key)
	w.WriteString("label", m.Label)
	w.WriteFloat64("score", m.Score)
}

func connect(ctx context.Context, address, cluster string) *hazelcast.Client {
	config := hazelcast.Config{}
	config.Cluster.Name = cluster
	config.Cluster.Network.SetAddresses(address)
	config.Serialization.Compact.SetSerializers(transferSerializer{}, predictionSerializer{}, messageSerializer{})
	return must(hazelcast.StartNewClientWithConfig(ctx, config))
}

// listenToMap hears each prediction that is written.
func listenToMap(ctx context.Context, predictions *hazelcast.Map, heard chan<- string) {
	changed := func(event *hazelcast.EntryNotified) {
		p := event.Value.(Prediction)
		heard <- fmt.Sprintln("event", event.Key, *p.Label, p.Score)
	}
	listener := hazelcast.MapListener{EntryAdded: changed, EntryUpdated: changed}
	must(predictions.AddListener(ctx, listener, true)) // true: with values
}

// listenToTopic hears each prediction that is published.
func listenToTopic(ctx context.Context, topic *hazelcast.Topic, heard chan<- string) {
	must(topic.AddMessageListener(ctx, func(message *hazelcast.MessagePublished) {
		m := message.Value.(Message)
		heard <- fmt.Sprintln("message", *m.Key, *m.Label, m.Score)
	}))
}

func main() {
	ctx := context.Background()
	client := connect(ctx, os.Args[1], os.Args[2])
	defer client.Shutdown(ctx)
	transfers := must(client.GetMap(ctx, "transfers"))
	predictions := must(client.GetMap(ctx, "scam.predictions"))
	heard := make(chan string, 100)
	listenToMap(ctx, predictions, heard)
	listenToTopic(ctx, must(client.GetTopic(ctx, "scam.predictions")), heard)

	distance := 81.7
	keys := []interface{}{"order-1", int64(4711), int32(4711)} // three keys: STRING, LONG, INT
	records := []interface{}{
		Transfer{912.35, 3, &distance},
		serialization.JSON(`{"amount": 12.5, "hour": 15, "distance": 1.25}`),
		Transfer{312.5, 12, &distance},
	}
	for i, key := range keys {
		must(0, transfers.Set(ctx, key, records[i]))
	}
	for range [6]struct{}{} { // an event and a message of each
		fmt.Print(<-heard)
	}
	for _, key := range keys {
		p := must(predictions.Get(ctx, key)).(Prediction) // nil, if there is none
		fmt.Println("read", key, *p.Label, p.Score, p.Version)
	}
}
