import type { OpeningFigures } from './opening';
import type { Twins } from './interleave';
import { percentile } from './statistics';

const WIDTH = 720;
const HEIGHT = 400;
const FRAME = { left: 60, right: 20, top: 60, bottom: 50 };
const COLORS: Twins<string> = { measured: '#b3541e', bare: '#2f5d8a' };
const NAMES: Twins<string> = { measured: 'opening, end to end', bare: 'bare Update-with-Start' };

/** How many of the answers had come after so many milliseconds, one curve for each twin: an SVG of its own. */
export function latencyPlot(latencies: Twins<number[]>, figures: OpeningFigures): string {
  const mostMs = niceCeiling(Math.max(percentile(latencies.measured, 0.995), percentile(latencies.bare, 0.995)));
  const x = (ms: number): number => FRAME.left + (Math.min(ms, mostMs) / mostMs) * (WIDTH - FRAME.left - FRAME.right);
  const y = (share: number): number => HEIGHT - FRAME.bottom - share * (HEIGHT - FRAME.top - FRAME.bottom);
  const { p50Ratio, p99Ratio, throughputRatio } = figures;
  const subtitle = `one caller; p50 ${p50Ratio.toFixed(2)}×, p99 ${p99Ratio.toFixed(2)}×; throughput at ${figures.callers.toString()} callers ${throughputRatio.toFixed(2)}×`;
  const sides = ['measured', 'bare'] as const;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH.toString()} ${HEIGHT.toString()}" font-family="sans-serif" font-size="12" fill="#222">`,
    '<rect width="100%" height="100%" fill="#fff"/>',
    text(FRAME.left, 24, 'Share of openings answered within so many milliseconds', 'font-size="15"'),
    text(FRAME.left, 44, subtitle),
    ...grid(mostMs, x, y),
    ...sides.map((side) => curve(latencies[side], COLORS[side], x, y)),
    ...sides.map((side, row) => legend(row, side, figures[side].oneCaller)),
    '</svg>',
    '',
  ].join('\n');
}

type Scale = (value: number) => number;

function curve(samples: readonly number[], color: string, x: Scale, y: Scale): string {
  const points = Array.from({ length: 201 }, (_, i) => i / 200).map(
    (share) => `${x(percentile(samples, share)).toFixed(1)},${y(share).toFixed(1)}`,
  );
  return `<polyline points="${points.join(' ')}" fill="none" stroke="${color}" stroke-width="2"/>`;
}

function grid(mostMs: number, x: Scale, y: Scale): string[] {
  const columns = [0, 0.2, 0.4, 0.6, 0.8, 1].map((part) => part * mostMs);
  const rows = [0, 0.25, 0.5, 0.75, 0.99];
  return [
    ...columns.map((ms) => line(x(ms), y(0), x(ms), y(1)) + text(x(ms), y(0) + 18, `${ms.toFixed(0)} ms`, CENTER)),
    ...rows.map(
      (share) => line(x(0), y(share), x(mostMs), y(share)) + text(x(0) - 8, y(share) + 4, percent(share), TO_THE_LEFT),
    ),
  ];
}

function legend(
  row: number,
  side: keyof Twins<unknown>,
  { p50Ms, p99Ms, samples }: { p50Ms: number; p99Ms: number; samples: number },
): string {
  const top = HEIGHT - FRAME.bottom - 50 + row * 20;
  const words = `${NAMES[side]}: p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms (${samples.toString()} samples)`;
  return `<rect x="${(WIDTH - 420).toString()}" y="${(top - 10).toString()}" width="12" height="12" fill="${COLORS[side]}"/>${text(WIDTH - 402, top, words)}`;
}

const CENTER = 'text-anchor="middle"';
const TO_THE_LEFT = 'text-anchor="end"';
const percent = (share: number): string => `${(share * 100).toFixed(0)} %`;
const text = (x: number, y: number, words: string, attributes = ''): string =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${attributes}>${words}</text>`;
const line = (x1: number, y1: number, x2: number, y2: number): string =>
  `<line x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}" stroke="#ddd"/>`;

/** The next 1, 2 or 5 with zeros behind it, times five, so that five equal columns have round names. */
function niceCeiling(ms: number): number {
  for (let step = 1; ; step *= 10) {
    for (const part of [1, 2, 3, 4, 5, 6, 8]) if (part * step * 5 >= ms) return part * step * 5;
  }
}
