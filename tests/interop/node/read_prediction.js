// Reads the prediction of a record that Python put, puts a record of its own under the same key, and reads that one's
// prediction, also as an event of the predictions map. Prints what it read as one line of JSON, int64 as text.
// Arguments: address and name of the cluster.
'use strict';
const { Client, FieldKind, Fields, GenericRecords } = require('hazelcast-client');
const Long = require('long');

const CONNECT_MS_MAX = 20_000;
const WAIT_MS_MAX = 20_000;
const POLL_MS = 5;
const [address, clusterName] = process.argv.slice(2);
const config = {
    clusterName,
    network: { clusterMembers: [address] },
    connectionStrategy: { connectionRetry: { clusterConnectTimeoutMillis: CONNECT_MS_MAX } },
    properties: { 'hazelcast.logging.level': 'WARN' },
};

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

async function until(what, look) {
    const end = Date.now() + WAIT_MS_MAX;
    while (Date.now() < end) {
        const found = await look();
        if (found) {
            return found;
        }
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    throw new Error(`no new ${what} within ${WAIT_MS_MAX} ms`);
}

const GETTERS = {
    [FieldKind.STRING]: (record, name) => record.getString(name),
    [FieldKind.INT32]: (record, name) => record.getInt32(name),
    [FieldKind.INT64]: (record, name) => record.getInt64(name).toString(),
    [FieldKind.FLOAT64]: (record, name) => record.getFloat64(name),
    [FieldKind.ARRAY_OF_FLOAT64]: (record, name) => record.getArrayOfFloat64(name),
};

function plain(record) {
    if (record === null) {
        return null;
    }
    const values = [...record.getFieldNames()].map((name) => {
        const getter = GETTERS[record.getFieldKind(name)];
        return [name, getter ? getter(record, name) : `a field of the kind ${record.getFieldKind(name)}`];
    });
    return Object.fromEntries(values);
}

main().catch((error) => {
    console.error(error);
    process.exit(1);
});
