// Reads the prediction of a record that Python put, puts a record of its own under the same key, and reads that one's
// prediction, also as an event of the predictions map. Prints what it read as one line of JSON, int64 as text.
// Arguments: address and name of the cluster.
'use strict';
const { Client, Fields, GenericRecords } = require('hazelcast-client');
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

    const fields = { amount: Fields.FLOAT64, hour: Fields.FLOAT64, distance: Fields.FLOAT64 };
    const order = GenericRecords.compact('orders', fields, { amount: 912.35, hour: 3, distance: 81.7 });
    await orders.put(key, order);
    const isNew = (found) => found && !found.getInt64('input_digest').equals(oldDigest);
    report.prediction = plain(await until('prediction', async () => [await predictions.get(key)].find(isNew)));
    const event = await until('event', async () => events.find((each) => isNew(each.value)));
    report.event = { key: event.key.toString(), value: plain(event.value) };
}

run(main);
