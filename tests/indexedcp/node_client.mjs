// A client as programs in Node are: one chunk after the other, Latin-1 names, nothing but the documented headers.
// node node_client.mjs URL KEY FILE NAME CHUNK_BYTES
import { readFileSync } from "node:fs";

const [url, key, file, name, size] = process.argv.slice(2);
const data = readFileSync(file);
const names = new Set();
for (let index = 0; index * size < data.length; index++) {
  const answer = await fetch(`${url}/upload`, {
    method: "POST",
    headers: {
      Authorization: `Bearer ${key}`,
      "Content-Type": "application/octet-stream",
      "X-Chunk-Index": index.toString(),
      "X-File-Name": name,
    },
    body: data.subarray(index * size, (index + 1) * size),
  });
  const said = await answer.json();
  if (!answer.ok) {
    console.log(JSON.stringify({ status: answer.status, error: said.error }));
    process.exit(1);
  }
  if (said.message !== "Chunk received" || said.chunkIndex !== index || said.clientFilename !== name) throw said;
  names.add(said.actualFilename);
}
const status = await fetch(`${url}/upload/status?filename=${encodeURIComponent(name)}`, {
  headers: { Authorization: `Bearer ${key}` },
});
console.log(JSON.stringify({ names: [...names], status: await status.json() }));
