// Puts the parcel of ../test_parcels.py under keys of every type, as Compact and as JSON, and reads the predictions by
// the same keys; then those of the other clients. Prints what it read as one line of JSON, int64 as text.
// Arguments: address and name of the cluster, and a JSON text.
'use strict';
const { Client, Fields, GenericRecords, HazelcastJsonValue, LocalDate, UUID } = require('hazelcast-client');
const Long = require('long');
const { config, plain, run, until } = require('./grid_client');

const FIELDS = {
    quantity: Fields.INT32,
    account: Fields.INT64,
    amount: Fields.FLOAT64,
    express: Fields.BOOLEAN,
    city: Fields.STRING,
    rating: Fields.NULLABLE_INT32,
    returns: Fields.NULLABLE_INT32,
    day: Fields.DATE,
    weights: Fields.ARRAY_OF_FLOAT64,
};
const PARCEL = {
    quantity: 3,
    account: Long.fromNumber(4_000_000_000),
    amount: 12.5,
    express: true,
    city: '\u0141\u00f3d\u017a',
    rating: 4,
    returns: null,
    day: new LocalDate(2026, 2, 3),
    weights: [0.5, 1.25],
};
const KEYS = {
    shared: Long.fromNumber(4711),
    Long: Long.fromNumber(4),
    number: 4,
    string: 'node',
    boolean: false,
    UUID: new UUID(Long.fromNumber(4), Long.fromNumber(4)),
};

async function main() {
    const client = await Client.newHazelcastClient(config);
    const report = {};
    try {
        report.compact = await put(client, 'parcels', KEYS, GenericRecords.compact('parcels', FIELDS, PARCEL));
        report.others = await others(client, [1, 2, 3]);
        const same = new HazelcastJsonValue(process.argv[4]);
        report.same_text = await put(client, 'json-parcels', { Long: KEYS.Long }, same);
        // A plain object becomes JSON by itself.
        const own = { ...PARCEL, account: 4_000_000_000, day: '2026-02-03' };
        report.own_text = await put(client, 'json-parcels', { string: KEYS.string }, own);
    } finally {
        await client.shutdown();
    }
    console.log(JSON.stringify(report));
}

// The prediction of each key, by the key's name.
async function put(client, features, keys, record) {
    const parcels = await client.getMap(features);
    const predictions = await client.getMap(`${features}-late.predictions`);
    for (const key of Object.values(keys)) {
        await parcels.put(key, record);
    }
    const found = {};
    for (const [name, key] of Object.entries(keys)) {
        found[name] = plain(await until('prediction', () => predictions.get(key)));
    }
    return found;
}

async function others(client, keys) {
    const predictions = await client.getMap('parcels-late.predictions');
    return Promise.all(keys.map(async (key) => plain(await predictions.get(Long.fromNumber(key)))));
}

run(main);
