import { InvalidArgumentError, type Option } from "commander";
import { volleyVersion } from "../../bundle/this-package.ts";
import type { WebServer } from "../../reporter/web/server.ts";
import { FittingOption } from "../completion/flags.ts";

// `--web` of the commands that carry out a run: the page of the run, while it goes on.

/** The flag of `--web`: a port, or true for any free one. */
export interface WebFlags {
  readonly web?: number | true;
}

/** Make `--web`, whose port is a number: another word behind it is the command's. */
export function webOption(): Option {
  return new FittingOption(
    "--web [port]",
    "show the run in a browser, too, on a port of this machine alone (default: any free one)",
    { fits: (word) => DIGITS.test(word), parse: portOf },
  );
}

const DIGITS = /^\d+$/;
const MAX_PORT = 65_535;

function portOf(text: string): number | true {
  if (text === "") return true;
  const port = Number(text);
  if (DIGITS.test(text) && port <= MAX_PORT) return port;
  throw new InvalidArgumentError(`It must be a port of 0 to ${MAX_PORT}.`);
}

/**
 * Do something beside a server that shows it, where there is the flag. The address is told on standard error first. Fails
 * with `USAGE` when the port cannot be had; then nothing is done.
 */
export async function withWeb<T>(
  { web }: WebFlags,
  work: (server: WebServer | undefined) => Promise<T>,
): Promise<T> {
  if (web === undefined) return work(undefined);
  const { startWebServer } = await import("../../reporter/web/server.ts");
  const server = await startWebServer({
    ...(web === true ? {} : { port: web }),
    generator: `volley ${volleyVersion()}`,
  });
  process.stderr.write(`The run in a browser: ${server.url}\n`);
  try {
    return await work(server);
  } finally {
    await server.close();
  }
}
