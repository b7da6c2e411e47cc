/** One quantity over the last minutes. */

import { useEffect, useRef } from "preact/hooks";
import type uPlot from "uplot";
import { theme } from "./theme";

const HEIGHT = 120;

interface PlotProps {
  label: string;
  /** Seconds since 1970, and a value each. */
  times: number[];
  values: number[];
  colour: string;
  shown: (value: number) => string;
  /** Plots of the same group point at the same moment. */
  group: string;
  /** Between which values there may be lines. */
  steps: number[];
  /** What the axis shows at least, so that nearly nothing looks like it. */
  least: number;
}

export function Plot({ label, times, values, colour, shown, group, steps, least }: PlotProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef<uPlot.AlignedData>([[], []]);
  const look = theme.value;
  latest.current = [times, values];

  useEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    const observer = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height: HEIGHT }));
    let isOver = false;
    void import("uplot").then(({ default: UPlot }) => {
      if (isOver) return;
      plot.current = new UPlot(options(element, colour, shown, group, steps, least), latest.current, element);
      observer.observe(element);
    });
    return () => {
      isOver = true;
      observer.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [look]);
  useEffect(() => plot.current?.setData(latest.current), [times, values]);

  const newest = values.at(-1) ?? 0;
  const most = values.reduce((one, other) => Math.max(one, other), 0);
  return <div ref={box} class="plot" role="img" aria-label={`${label}: ${shown(newest)} now, at most ${shown(most)}`} />;
}

function options(element: HTMLElement, colour: string, shown: (value: number) => string, group: string, steps: number[], least: number): uPlot.Options {
  const css = getComputedStyle(element);
  const [stroke, fill, ink, line] = [`--${colour}`, `--${colour}-soft`, "--ink-3", "--line"].map((name) => css.getPropertyValue(name).trim());
  const axis = { stroke: ink ?? "", font: `11px ${css.fontFamily}`, ticks: { show: false } };
  return {
    width: element.clientWidth,
    height: HEIGHT,
    padding: [8, 4, 0, 0],
    legend: { show: false },
    cursor: { sync: { key: group }, y: false, drag: { x: false, y: false }, points: { size: 7 } },
    scales: { y: { range: (_, __, most) => [0, Math.max(least, most * 1.15)] } },
    axes: [
      { ...axis, size: 22, space: 80, grid: { show: false }, values: (_, splits) => splits.map((at) => new Date(at * 1000).toLocaleTimeString("en-GB").slice(0, 5)), incrs: [60, 120, 300] },
      { ...axis, size: 68, space: 34, grid: { stroke: line ?? "", width: 1 }, values: (_, splits) => splits.map(shown), incrs: steps },
    ],
    series: [{}, { stroke: stroke ?? "", fill: fill ?? "", width: 1.6, points: { show: false } }],
  };
}
