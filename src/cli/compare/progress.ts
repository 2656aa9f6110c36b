import type { CompareProgress } from "../../compare/compare.ts";
import { conditionLabel } from "../../compare/comparison.ts";
import { formatElapsed } from "../../reporter/rows/amounts.ts";
import { truncateText } from "../../reporter/rows/layout.ts";

/** Shows how far a comparison is. */
export interface ProgressLine {
  take(progress: CompareProgress): void;
  /** Leaves a free line behind. */
  end(): void;
}

/** On a terminal one line, written over and over; elsewhere a line for each run that is over. */
export function createProgressLine(stream: NodeJS.WriteStream): ProgressLine {
  const isTerminal = stream.isTTY === true && process.env.TERM !== "dumb";
  let startedMs: number | undefined;
  let isShown = false;
  return {
    take: (progress) => {
      startedMs ??= performance.now();
      const { done, total, method, condition, round, wallMs } = progress;
      const which = `${method}, ${round === 0 ? "warm-up" : `${conditionLabel(condition)}, run ${round}`}`;
      if (!isTerminal) {
        if (wallMs !== undefined) stream.write(`${done}/${total} ${which}: ${formatElapsed(wallMs)}\n`);
        return;
      }
      const elapsedMs = performance.now() - startedMs;
      const left = done === 0 ? "" : `, about ${formatElapsed((elapsedMs / done) * (total - done))} left`;
      const text = `${done}/${total}${left}: ${which}`;
      stream.write(`\r\x1b[K${truncateText(text, (stream.columns ?? 80) - 1, "…")}`);
      isShown = true;
    },
    end: () => {
      if (isShown) stream.write("\r\x1b[K");
      isShown = false;
    },
  };
}
