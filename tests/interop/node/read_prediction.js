// Reads the prediction of a record that Python put, puts a record of its own under the same key, and reads that one's
// prediction, also as an event of the predictions map and, of the deployment "return-alerts", as a message of its reliable
// topic. Prints what it read as one line of JSON, int64 as text.
// Arguments: address and name of the cluster.
'use strict';
const { Client, FieldKind, Fields, GenericRecords } = require('hazelcast-client');
const Long = require('long');
const { config, plain, run, until } = require('./grid_client');

async function main() {
    // README: begin
    const client = await Client.newHazelcastClient(config);
    const predictions = await client.getMap('returns.predictions');
    const prediction = await predictions.get(Long.fromNumber(4711));
    const label = prediction.getString('label');
    const score = prediction.getFloat64('score');
    // README: end
    const report = { label, score, found_prediction: plain(prediction) };
    try {
        await putAndRead(client, predictions, prediction.getInt64('input_digest'), report);
    } finally {
        await client.shutdown();
    }
    console.log(JSON.stringify(report));
}

async function putAndRead(client, predictions, oldDigest, report) {
    const orders = await client.getMap('orders');
    const key = Long.fromNumber(4711);
    report.found_record = plain(await orders.get(key));
    const events = [];
    const remember = (event) => events.push(event);
    await predictions.addEntryListener({ added: remember, updated: remember }, undefined, true);
    const messages = await listen(client);

    const fields = { amount: Fields.FLOAT64, hour: Fields.FLOAT64, distance: Fields.FLOAT64 };
    const order = GenericRecords.compact('orders', fields, { amount: 912.35, hour: 3, distance: 81.7 });
    await orders.put(key, order);
    const isNew = (found) => found && !found.getInt64('input_digest').equals(oldDigest);
    report.prediction = plain(await until('prediction', async () => [await predictions.get(key)].find(isNew)));
    const event = await until('event', async () => events.find((each) => isNew(each.value)));
    report.event = { key: event.key.toString(), value: plain(event.value) };
    const ofThis = (each) => each.getInt64('input_digest').equals(event.value.getInt64('input_digest'));
    report.message = plain(await until('message', async () => messages.find(ofThis)));
}

const MESSAGE = {
    deployment: Fields.STRING, score: Fields.FLOAT64, label: Fields.STRING, scores: Fields.ARRAY_OF_FLOAT64,
    model: Fields.STRING, version: Fields.INT32, input_digest: Fields.INT64, owner_epoch: Fields.INT64,
    scored_at_us: Fields.INT64, key: Fields.STRING, key_data: Fields.ARRAY_OF_INT8,
};
const ANY = {
    [FieldKind.FLOAT64]: 0, [FieldKind.INT32]: 0, [FieldKind.INT64]: Long.ZERO,
    [FieldKind.ARRAY_OF_INT8]: Buffer.alloc(0), // the client can't write null there
};

// The listener would end at a schema that this client does not know: a put of a record of just these fields teaches it.
async function listen(client) {
    const values = Object.entries(MESSAGE).map(([name, { kind }]) => [name, ANY[kind] ?? null]);
    const record = GenericRecords.compact('grid_inference.PredictionMessage', MESSAGE, Object.fromEntries(values));
    await (await client.getMap('scratch')).put('any', record);
    const messages = [];
    const topic = await client.getReliableTopic('return-alerts.predictions');
    topic.addMessageListener((message) => messages.push(message.messageObject));
    const ring = await client.getRingbuffer('_hz_rb_return-alerts.predictions');
    await ring.tailSequence(); // the listener has asked the same before, and listens from there on
    return messages;
}

run(main);
