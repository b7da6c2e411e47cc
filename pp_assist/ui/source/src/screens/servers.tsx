/** Where files go: the known servers, whether uploads to them would work, and which of them gets them. */

import { useState } from "preact/hooks";
import { makeDefault, removeServer, servers as askServers, tryKnownServer } from "../api/routes";
import type { Server, Trial } from "../api/shapes";
import { useAsked, useDoing } from "../live/asked";
import { nowMs, refresh } from "../live/connection";
import { AddServer } from "../parts/add-server";
import { Button, Card, Chip, Empty, Facts, Problem, Screen, sentence, Shown } from "../parts/basics";
import { Dialog, useConfirm } from "../parts/dialog";
import { NameText } from "../parts/name";
import { say } from "../parts/said";
import { TrialShown } from "../parts/trial";
import { ago, exactly } from "../text/format";
import { SERVER_STATE } from "../text/words";

export function Servers() {
  const asked = useAsked(askServers, [], { on: ["server", "steered"], everyMs: 10_000 });
  const [adding, setAdding] = useState(false);
  const [confirm, ask] = useConfirm();
  const again = () => {
    asked.again();
    refresh();
  };
  return (
    <Screen
      title="Servers"
      says="Uploads go to the default one. Keys stay with the daemon, and are never shown."
      actions={
        <Button kind="main" icon="plus" onClick={() => setAdding(true)}>
          Add a server
        </Button>
      }
    >
      <Shown
        asked={asked}
        show={({ servers }) =>
          servers.length === 0 ? (
            <Empty icon="servers" title="No server is known yet">
              Files are read meanwhile, and sent as soon as there is one.
            </Empty>
          ) : (
            <div class="stack">
              {servers.map((server) => (
                <One
                  key={server.id}
                  server={server}
                  onDefault={() =>
                    ask({
                      title: `Send uploads to ${server.name}?`,
                      says: <p>They go there from now on, and what it lacks is sent. What the others have, they keep.</p>,
                      word: "Make it the default",
                      work: async () => {
                        await makeDefault(server.id);
                        say(`Uploads go to ${server.name} from now on.`);
                        again();
                      },
                    })
                  }
                  onRemove={() =>
                    ask({
                      title: `Forget ${server.name}?`,
                      says: <p>Its key is forgotten here. It keeps everything that it has. {server.is_default && "The oldest other server becomes the default; without one, files wait."}</p>,
                      word: "Forget it",
                      danger: true,
                      work: async () => {
                        await removeServer(server.id);
                        say(`${server.name} is forgotten.`);
                        again();
                      },
                    })
                  }
                />
              ))}
            </div>
          )
        }
      />
      {adding && (
        <Dialog title="Add a server" onClose={() => setAdding(false)}>
          <AddServer
            onCancel={() => setAdding(false)}
            onAdded={(server) => {
              setAdding(false);
              say(`${server.name} is known from now on.`);
              again();
            }}
          />
        </Dialog>
      )}
      {confirm}
    </Screen>
  );
}

function One({ server, onDefault, onRemove }: { server: Server; onDefault: () => void; onRemove: () => void }) {
  const [trial, setTrial] = useState<Trial | null>(null);
  const doing = useDoing();
  const { word, tone } = SERVER_STATE[server.state] ?? { word: server.state, tone: "off" as const };
  return (
    <Card>
      <div class="card-head">
        <h2>
          <NameText name={{ text: server.name }} />
        </h2>
        <span class="chips">
          {server.is_default && <Chip tone="calm">default</Chip>}
          <Chip tone={server.is_default || server.state !== "ok" ? tone : "off"}>{word}</Chip>
        </span>
      </div>
      {server.state !== "ok" && server.reason && <p class="tone-text-bad">{sentence(server.reason)}</p>}
      <Facts
        of={[
          ["Address", <span class="mono wrap"><NameText name={{ text: server.url }} /></span>],
          ["Last answer", <time title={exactly(server.last_contact_at)}>{ago(server.last_contact_at, nowMs.value)}</time>],
          ["Believed", server.fingerprint ? <>the certificate <code class="digest">{server.fingerprint}</code></> : server.ca_file ? <>the authorities in <code class="wrap">{server.ca_file}</code></> : server.url.startsWith("http:") ? "unencrypted" : "the public authorities"],
        ]}
      />
      {trial && <TrialShown trial={trial} />}
      {doing.error && <Problem error={doing.error} />}
      <div class="actions">
        <Button busy={doing.busy} onClick={() => void doing.run(async () => setTrial(await tryKnownServer(server.id)))}>
          Test
        </Button>
        {!server.is_default && <Button onClick={onDefault}>Make it the default</Button>}
        <Button kind="quiet" icon="trash" onClick={onRemove}>
          Forget
        </Button>
      </div>
    </Card>
  );
}
