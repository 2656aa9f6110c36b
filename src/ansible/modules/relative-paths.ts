import { expandPath } from "../../actions/shared/paths.ts";
import { type Content, isCopy, type System } from "../../core/system.ts";

/** The calls of a System whose arguments up to a number are paths. */
const PATHS = {
  ...{ stat: 1, lstat: 1, readFile: 1, readText: 1, readIfExists: 1, checksum: 1, list: 1, readLink: 1 },
  ...{ realPath: 1, makeDirectory: 1, chmod: 1, chown: 1, remove: 1, setTimes: 1 },
  ...{ link: 2, rename: 2 },
} as const satisfies Partial<Record<keyof System, 1 | 2>>;

type Call = (...args: readonly unknown[]) => Promise<unknown>;

const placed = new WeakMap<System, Map<string, System>>();

/**
 * Take relative paths from the working directory, as Ansible's modules do: on hosts the home of the user who logs in. `~user` is that
 * user's home.
 * With `directory` that one is the working directory, of processes too, where the user may go there.
 */
export function fromWorkingDirectory(system: System, directory?: string): System {
  const known = placed.get(system) ?? new Map<string, System>();
  placed.set(system, known);
  const made = known.get(directory ?? "") ?? place(system, directory);
  known.set(directory ?? "", made);
  return made;
}

function place(system: System, directory: string | undefined): System {
  let found: Promise<string | undefined> | undefined;
  const look = async (path: string): Promise<string | undefined> =>
    (await system.stat(`${path}/.`).catch(() => null)) === null ? undefined : path;
  /** The directory, where the user may go there. */
  const open = (): Promise<string | undefined> => {
    found ??= directory === undefined ? Promise.resolve(undefined) : look(directory);
    return found;
  };
  const workingDirectory = async (): Promise<string> => (await open()) ?? (await system.workingDirectory());
  const at = async (path: string): Promise<string> => {
    if (path.startsWith("/") || path.startsWith("~/")) return path;
    const expanded = path.startsWith("~") ? await expandPath(system, path) : path;
    return expanded.startsWith("/")
      ? expanded
      : `${(await workingDirectory()).replace(/\/$/, "")}/${expanded}`;
  };
  const placeOf = async (cwd: string | undefined): Promise<{ readonly cwd?: string }> => {
    if (cwd !== undefined) return { cwd: await at(cwd) };
    const place = await open();
    // The System itself knows where a user works who may not go there.
    return place === undefined ? {} : { cwd: place };
  };
  const calls: Record<string, Call> = {};
  for (const [name, count] of Object.entries(PATHS)) {
    const call = Reflect.get(system, name) as Call;
    calls[name] = async (...args) => {
      const paths = await Promise.all(args.slice(0, count).map((path) => at(String(path))));
      return call.call(system, ...paths, ...args.slice(count));
    };
  }
  return Object.assign(Object.create(system) as System, calls, {
    workingDirectory,
    symlink: async (target: string, path: string) => system.symlink(target, await at(path)),
    writeFile: async (path: string, content: Content, options?: Parameters<System["writeFile"]>[2]) =>
      system.writeFile(
        await at(path),
        isCopy(content) ? { copyOf: await at(content.copyOf) } : content,
        options,
      ),
    ...Object.fromEntries(
      (["run", "query"] as const).map((name) => [
        name,
        async (argv: readonly string[], { cwd, ...rest }: NonNullable<Parameters<System["run"]>[1]> = {}) =>
          system[name](argv, { ...rest, ...(await placeOf(cwd)) }),
      ]),
    ),
  });
}
