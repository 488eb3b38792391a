import { described, isMet, writeFigures, type Target } from './chapter';
import { measureIdentification } from './identification';
import { machine } from './machine';
import { measureOpening } from './opening';
import { inPassingStack } from './passing-stack';
import { latencyPlot } from './plot';

const TARGETS = {
  'opening.p50Ratio': { atMost: 2 },
  'opening.p99Ratio': { atMost: 2.5 },
  'opening.throughputRatio': { atLeast: 0.6 },
  'identification.ratio': { atMost: 1.5 },
} as const satisfies Record<string, Target>;

/** `npm run bench -- access`: what deciding and opening costs, as ratios to the least that the same ground allows. */
export async function benchAccess(env: NodeJS.ProcessEnv, print: (line: string) => void, ending: AbortSignal) {
  const startedMs = performance.now();
  const identification = measureIdentification();
  const { figures: opening, latencies } = await inPassingStack(env, print, ending, measureOpening);

  const ratios = {
    'opening.p50Ratio': opening.p50Ratio,
    'opening.p99Ratio': opening.p99Ratio,
    'opening.throughputRatio': opening.throughputRatio,
    'identification.ratio': identification.ratio,
  };
  const targets = Object.entries(TARGETS).map(([name, target]) => {
    const ratio = ratios[name as keyof typeof ratios];
    const met = isMet(ratio, target);
    print(`${name.padEnd(26)} ${ratio.toFixed(2).padStart(6)}   ${described(target)}: ${met ? 'met' : 'NOT met'}`);
    return { name, ...target, met };
  });
  for (const side of ['measured', 'bare'] as const) {
    const { missed, processorMs } = opening[side].callers32;
    const parts = Object.entries(processorMs?.byProcess ?? {}).map(([name, ms]) => `${name} ${ms.toFixed(1)}`);
    print(`${side.padEnd(8)} ${(processorMs?.all ?? NaN).toFixed(1)} ms of processor time each: ${parts.join(', ')}`);
    if (missed > 0) print(`${side.padEnd(8)} ${missed.toString()} were not over in time`);
  }
  const report = {
    date: new Date().toISOString(),
    durationS: Math.round((performance.now() - startedMs) / 1_000),
    machine: machine(),
    targets,
    opening,
    identification,
  };
  writeFigures('access.json', `${JSON.stringify(report, null, 2)}\n`);
  writeFigures('access.svg', latencyPlot(latencies, opening));
}
