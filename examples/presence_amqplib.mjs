// Print every presence change once, from the beginning of the log on, whatever restarts: node presence_amqplib.mjs amqp://crm:…@host/
import { createRequire } from "node:module";

const amqp = createRequire(import.meta.url)("amqplib");
let after = -1; // the offset of the last handled message; kept on disk, it would survive a restart of this program
const versions = new Map(); // the last version of each user, because a home that was killed may publish a change again

function handle(message) {
  const offset = message.properties.headers["x-stream-offset"];
  if (offset <= after) return; // RabbitMQ sends a stream from the start of a chunk
  after = offset;
  const event = JSON.parse(message.content);
  if (!message.fields.routingKey.startsWith(`presence.${event.data.home}.${event.data.uid}.`)) return; // no change, or in another home's name
  const [, user, version] = event.id.match(/^(.*)\/(\d+)$/);
  if (Number(version) <= (versions.get(user) ?? 0)) return;
  versions.set(user, Number(version));
  console.log(JSON.stringify({ id: event.id, ...event.data }));
}

async function read() {
  const connection = await amqp.connect(process.argv[2]);
  const closed = new Promise((resolve) => connection.on("close", resolve));
  connection.on("error", () => {}); // "close" follows
  const channel = await connection.createChannel();
  channel.on("error", () => connection.close());
  await channel.prefetch(100);
  const options = { arguments: { "x-stream-offset": after + 1 } };
  await channel.consume("flash.presence.log", (message) => {
    if (message === null) return connection.close(); // RabbitMQ has ended the consumer: begin again
    channel.ack(message);
    handle(message);
  }, options);
  await closed;
}

for (;;) {
  await read().catch(() => {}); // RabbitMQ is away, or not yet ready
  await new Promise((resolve) => setTimeout(resolve, 1000));
}
