import { type Content, isCopy, type System } from "../../core/system.ts";

/** The calls of a System whose arguments up to a number are paths. */
const PATHS = {
  ...{ stat: 1, lstat: 1, readFile: 1, readText: 1, readIfExists: 1, checksum: 1, list: 1, readLink: 1 },
  ...{ realPath: 1, makeDirectory: 1, chmod: 1, chown: 1, remove: 1, setTimes: 1 },
  ...{ link: 2, rename: 2 },
} as const satisfies Partial<Record<keyof System, 1 | 2>>;

type Call = (...args: readonly unknown[]) => Promise<unknown>;

const placed = new WeakMap<System, System>();

/** Take relative paths from the working directory, as Ansible's modules do: on hosts the home of the user who logs in. */
export function fromWorkingDirectory(system: System): System {
  const known = placed.get(system) ?? place(system);
  placed.set(system, known);
  return known;
}

function place(system: System): System {
  const at = async (path: string): Promise<string> =>
    path.startsWith("/") || path.startsWith("~/")
      ? path
      : `${(await system.workingDirectory()).replace(/\/$/, "")}/${path}`;
  const calls: Record<string, Call> = {};
  for (const [name, count] of Object.entries(PATHS)) {
    const call = Reflect.get(system, name) as Call;
    calls[name] = async (...args) => {
      const paths = await Promise.all(args.slice(0, count).map((path) => at(String(path))));
      return call.call(system, ...paths, ...args.slice(count));
    };
  }
  return Object.assign(Object.create(system) as System, calls, {
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
          system[name](argv, { ...rest, ...(cwd === undefined ? {} : { cwd: await at(cwd) }) }),
      ]),
    ),
  });
}
