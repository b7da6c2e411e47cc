/** How much was stored in each second of the last minutes, and how long it took from a change to its receipt. */

import { useMemo } from "preact/hooks";
import type { Pace } from "../api/shapes";
import { counted, digits, latency, rate, size, speed } from "../text/format";
import { Card, Facts } from "./basics";
import { Plot } from "./plot";

const MIB = 1 << 20;
const AVERAGED = 3;
const DECIMAL = Array.from({ length: 7 }, (_, power) => [1, 2, 5].map((each) => each * 10 ** power)).flat();
const BINARY = Array.from({ length: 32 }, (_, power) => 2 ** power * 1024);

export function Throughput({ pace, uploader }: { pace: Pace; uploader: { upload_rate: number } }) {
  const { times, stored, bytes } = useMemo(() => series(pace), [pace]);
  const took = pace.latency_ms;
  const newest = bytes.at(-1) ?? 0;
  return (
    <Card title="Throughput" aside="the last five minutes">
      <div class="throughput">
        <div class="throughput-plots">
          <div class="plot-head">
            <span class="swatch line-stored" aria-hidden="true" /> Files stored a second
            <span class="number plot-now">{rate(uploader.upload_rate)}</span>
          </div>
          <Plot label="Files stored a second" times={times} values={stored} colour="good" group="pace" steps={DECIMAL} least={2} shown={(value) => digitsOf(value)} />
          <div class="plot-head">
            <span class="swatch line-bytes" aria-hidden="true" /> Sent a second
            <span class="number plot-now">{speed(newest)}</span>
          </div>
          <Plot label="Sent a second" times={times} values={bytes} colour="busy" group="pace" steps={BINARY} least={MIB} shown={(value) => (value === 0 ? "0" : size(Math.round(value)).replace(/\.0+ /, " "))} />
        </div>
        <div class="latency">
          <h3>From a change to its receipt</h3>
          {took === null ? (
            <p class="hint">Nothing was stored in the last quarter of an hour.</p>
          ) : (
            <>
              <p class="latency-main">
                <span class="number">{latency(took.p50)}</span>
                <span class="hint">for half of the last {counted(took.count, "file")}</span>
              </p>
              <Facts
                of={[
                  ["9 in 10", latency(took.p90)],
                  ["99 in 100", latency(took.p99)],
                  ["Slowest", latency(took.max)],
                ]}
              />
            </>
          )}
        </div>
      </div>
    </Card>
  );
}

function digitsOf(value: number): string {
  return value >= 10 ? rate(Math.round(value)) : digits(value).replace(/\.?0+$/, "");
}

/** Return what is drawn: each second with its neighbours before it, so that what comes in batches is no comb. */
function series(pace: Pace): { times: number[]; stored: number[]; bytes: number[] } {
  const end = Math.round(Date.parse(pace.ends_at) / 1000);
  const many = pace.stored.length;
  const times = pace.stored.map((_, at) => end - (many - 1 - at) * pace.step_seconds);
  return { times, stored: averaged(pace.stored, pace.step_seconds), bytes: averaged(pace.bytes, pace.step_seconds) };
}

function averaged(values: number[], step: number): number[] {
  return values.map((_, at) => {
    const some = values.slice(Math.max(0, at + 1 - AVERAGED), at + 1);
    return some.reduce((sum, each) => sum + each, 0) / some.length / step;
  });
}
