import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as immediate, setTimeout as sleep } from "node:timers/promises";

/** How a secret may look where it must not be, by the name of the form; worked out without any of Volley's code. */
export function formsOf(secret: string): ReadonlyMap<string, string> {
  const forms = new Map<string, string>();
  const add = (name: string, text: string): void => {
    if (text.length >= 4) forms.set(name, text);
  };
  add("plain", secret);
  for (const line of secret.split("\n")) add(`line ${line}`, line.trim());
  add("JSON", JSON.stringify(secret).slice(1, -1));
  add("JSON in JSON", JSON.stringify(JSON.stringify(secret).slice(1, -1)).slice(1, -1));
  add("URL", encodeURIComponent(secret));
  add("form", new URLSearchParams({ a: secret }).toString().slice(2));
  add("hex", Buffer.from(secret).toString("hex"));
  add("single quotes", secret.replaceAll("'", "'\\''"));
  for (const before of [0, 1, 2]) {
    const encoded = Buffer.from("x".repeat(before) + secret).toString("base64");
    // Without the characters that neighbours have a part in.
    add(`base64 behind ${before}`, encoded.slice(before === 0 ? 0 : before + 1, -4));
  }
  return forms;
}

/** Finds the forms of secrets that are in texts; the forms are worked out once. */
function leakFinder(secrets: readonly string[]): (text: string) => readonly string[] {
  const forms = secrets.flatMap((secret) =>
    [...formsOf(secret)].map(([name, form]) => [form, `${name} of ${secret.slice(0, 6)}…`] as const),
  );
  return (text) => forms.filter(([form]) => text.includes(form)).map(([, what]) => what);
}

/** The forms of secrets that are in a text. */
export function leaksIn(text: string, secrets: readonly string[]): readonly string[] {
  return leakFinder(secrets)(text);
}

/** Every file below a directory. */
export function filesBelow(directory: string): readonly string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .map((name) => join(directory, name))
    .filter((path) => statSync(path, { throwIfNoEntry: false })?.isFile() === true);
}

/** The leaks in files below directories, as `path: form`; of file names too. */
export function leaksBelow(directories: readonly string[], secrets: readonly string[]): readonly string[] {
  const inText = leakFinder(secrets);
  const inBytes = leakFinder(secrets.map((secret) => Buffer.from(secret).toString("latin1")));
  return directories
    .flatMap(filesBelow)
    .flatMap((path) =>
      [...inBytes(readFileSync(path, "latin1")), ...inText(readFileSync(path, "utf8")), ...inText(path)].map(
        (leak) => `${path}: ${leak}`,
      ),
    );
}

/** Looks at the command lines and environments of all processes over and over until stopped; gives what was found. */
export function watchProcesses(
  secrets: readonly string[],
  inEnvironment: readonly string[],
): () => Promise<{ readonly leaks: readonly string[]; readonly samples: number }> {
  const leaks = new Set<string>();
  let samples = 0;
  let stopped = false;
  const read = (pid: string, what: string): string => {
    try {
      return readFileSync(`/proc/${pid}/${what}`, "utf8");
    } catch {
      return "";
    }
  };
  const inCommand = leakFinder(secrets);
  const inOthers = leakFinder(inEnvironment);
  const look = async (): Promise<void> => {
    while (!stopped) {
      for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
        const command = read(pid, "cmdline");
        // Threads of the kernel, which are most of a machine's processes, have neither.
        if (command === "") continue;
        for (const leak of inCommand(command)) leaks.add(`cmdline of ${command.slice(0, 80)}: ${leak}`);
        for (const leak of inOthers(read(pid, "environ")))
          leaks.add(`environ of ${command.slice(0, 80)}: ${leak}`);
        samples++;
        // The hosts that are tested are in this process, and must not be kept from answering.
        await immediate();
      }
      await sleep(20);
    }
  };
  const looking = look();
  return async () => {
    stopped = true;
    await looking;
    return { leaks: [...leaks], samples };
  };
}
