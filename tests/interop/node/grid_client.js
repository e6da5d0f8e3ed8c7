// What the programs share: how to connect, to wait, and to print a record. The first arguments of a program are address
// and name of the cluster.
'use strict';
const { FieldKind } = require('hazelcast-client');

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
    [FieldKind.ARRAY_OF_INT8]: (record, name) => [...record.getArrayOfInt8(name)],
    [FieldKind.ARRAY_OF_FLOAT64]: (record, name) => record.getArrayOfFloat64(name),
};

// The fields of a prediction or of a record of numbers, int64 as text; null for null.
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

function run(main) {
    main().catch((error) => {
        console.error(error);
        process.exit(1);
    });
}

module.exports = { config, plain, run, until };
