// Hears what is predicted of transfers, puts three of them, and reads their predictions.
'use strict';
const { Client, Fields, GenericRecords, HazelcastJsonValue } = require('hazelcast-client');
const Long = require('long');

// A grid_inference.Prediction, as far as we want to know it: label and scores may be null, inputDigest is a Long.
class Prediction {
    constructor(label, score, scores, version, inputDigest) {
        Object.assign(this, { label, score, scores, version, inputDigest });
    }
}

class PredictionSerializer {
    getClass() {
        return Prediction;
    }

    getTypeName() {
        return 'grid_inference.Prediction';
    }

    read(reader) {
        return new Prediction(
            reader.readString('label'),
            reader.readFloat64('score'),
            reader.readArrayOfFloat64('scores'),
            reader.readInt32('version'),
            reader.readInt64('input_digest'),
        );
    }

    write() {
        throw new Error('predictions are read only');
    }
}

// Hears each prediction that is written.
async function listenToMap(predictions, hear) {
    const changed = ({ key, value }) => hear(`event ${key} ${value.label} ${value.score}`);
    await predictions.addEntryListener({ added: changed, updated: changed }, undefined, true); // true: with values
}

// Hears each prediction that is published on a reliable topic. Its listener would end at a schema that the client does
// not know, so we teach it that of the messages first: by a put of one that is empty, into any map.
async function listenToTopic(client, name, hear) {
    const fields = {
        deployment: Fields.STRING, score: Fields.FLOAT64, label: Fields.STRING, scores: Fields.ARRAY_OF_FLOAT64,
        model: Fields.STRING, version: Fields.INT32, input_digest: Fields.INT64, owner_epoch: Fields.INT64,
        scored_at_us: Fields.INT64, key: Fields.STRING, key_data: Fields.ARRAY_OF_INT8,
    };
    const empty = {
        deployment: null, score: 0, label: null, scores: null, model: null, version: 0, input_digest: Long.ZERO,
        owner_epoch: Long.ZERO, scored_at_us: Long.ZERO, key: null, key_data: Buffer.alloc(0),
    };
    const schemas = await client.getMap('scratch');
    await schemas.set('message', GenericRecords.compact('grid_inference.PredictionMessage', fields, empty));

    const topic = await client.getReliableTopic(name);
    topic.addMessageListener(({ messageObject: message }) =>
        hear(`message ${message.getString('key')} ${message.getString('label')} ${message.getFloat64('score')}`));
    const ring = await client.getRingbuffer(`_hz_rb_${name}`);
    await ring.tailSequence(); // answered behind the listener's own question: it listens from here on
}

async function main() {
    const [address, clusterName] = process.argv.slice(2);
    const client = await Client.newHazelcastClient({
        clusterName,
        network: { clusterMembers: [address] },
        serialization: { compact: { serializers: [new PredictionSerializer()] } },
        properties: { 'hazelcast.logging.level': 'WARN' },
    });
    const transfers = await client.getMap('transfers');
    const predictions = await client.getMap('scam.predictions');
    let left = 6; // an event and a message of each
    await new Promise((resolve, reject) => {
        const hear = (line) => {
            console.log(line);
            left -= 1;
            if (left === 0) {
                resolve();
            }
        };
        start(client, transfers, predictions, hear).catch(reject);
    });
    for (const key of KEYS) {
        const found = await predictions.get(key); // null, if there is none
        console.log(`read ${key} ${found.label} ${found.score} ${found.version}`);
    }
    await client.shutdown();
}

const KEYS = ['order-1', Long.fromNumber(4711), 47.5]; // STRING, LONG, DOUBLE

async function start(client, transfers, predictions, hear) {
    await listenToMap(predictions, hear);
    await listenToTopic(client, 'scam.predictions', hear);
    const fields = { amount: Fields.FLOAT64, hour: Fields.INT32, distance: Fields.NULLABLE_FLOAT64 };
    const transfer = (values) => GenericRecords.compact('transfers', fields, values);
    await transfers.set(KEYS[0], transfer({ amount: 912.35, hour: 3, distance: 81.7 }));
    await transfers.set(KEYS[1], new HazelcastJsonValue('{"amount": 12.5, "hour": 15, "distance": 1.25}'));
    await transfers.set(KEYS[2], transfer({ amount: 312.5, hour: 12, distance: 81.7 }));
}

main().catch((error) => {
    console.error(error);
    process.exit(1);
});
