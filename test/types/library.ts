/** Code for the exports of `volley/controller`: it must type-check, but for the lines that say so. This file is never run. */
import { Duplex, type Readable, type Writable } from "node:stream";
import { command, copy, secret } from "volley";
import {
  type ApplyOptions,
  type ApplyResult,
  type Command,
  type ConnectedHosts,
  type ConnectOptions,
  connect,
  type ErrorCode,
  type Event,
  type ExecOptions,
  type ExecResult,
  type ExecResults,
  type FactsOptions,
  type FactsResult,
  type FilesResult,
  type Fleet,
  type FleetHost,
  type Folded,
  type Forwarding,
  type ForwardOptions,
  type HostEnd,
  type HostExit,
  type HostProcess,
  type HostSet,
  type HostShell,
  HostsFailed,
  isVolleyError,
  type Results,
  type Run,
  type RunOptions,
  readInventory,
  run,
  type SecretOptions,
  type SerializedError,
  type ShellOptions,
  type ShellWord,
  type StartOptions,
  type Summary,
  type TransferOptions,
  VolleyError,
  type Work,
} from "volley/controller";

/** Says that a value is of this type and no other. */
function exactly<T>(): <U>(value: U) => [U, T] extends [T, U] ? void : never {
  return () => undefined as never;
}

export async function connecting(signal: AbortSignal): Promise<void> {
  const secrets: SecretOptions = { vaultPasswordFiles: ["vault"] };
  const { inventory } = await readInventory("inventory");
  const options: ConnectOptions = {
    inventory,
    limit: "db",
    forks: 5,
    secrets,
    signal,
    hostKeys: "accept-new",
    persist: "10m",
  };
  await using fleet = await connect("web:&prod", options);
  exactly<Fleet>()(fleet);
  exactly<readonly FleetHost[]>()(fleet.hosts);
  exactly<HostSet>()(fleet.select("web"));
  exactly<FleetHost>()(fleet.host("web1"));
  exactly<Promise<void>>()(fleet.close());
  const connected: ConnectedHosts = fleet;
  const runOptions: RunOptions = { fleet: connected, playbook: "site.ts" };
  const running: Run = run(runOptions);
  for await (const event of running) exactly<Event>()(event);
  exactly<Summary>()(await running.summary);
  // @ts-expect-error a pattern is needed
  await connect();
  // @ts-expect-error a number of hosts is a number
  await connect("all", { forks: "5" });
  for (const persist of [600_000, false] as const) await connect("all", { persist });
  // @ts-expect-error a time is needed
  await connect("all", { persist: true });
  // @ts-expect-error a policy that there is not
  await connect("all", { hostKeys: "yes" });
  // @ts-expect-error a set of hosts is not closed by itself
  await fleet.select("web").close();
}

export async function commands(fleet: Fleet, stream: Readable): Promise<void> {
  const line: Command = "uname -r";
  const words: Command = ["ls", "-l"];
  const options: ExecOptions = {
    ...{
      become: "postgres",
      env: { A: "a", B: secret.env("B") },
      cwd: "/",
      stdin: stream,
      timeoutMs: 1,
      maxBytes: 1,
    },
    onOutput: async (host, from, chunk) => {
      exactly<string>()(host);
      exactly<"stdout" | "stderr">()(from);
      exactly<Buffer>()(chunk);
    },
  };
  const work = fleet.exec(line, options);
  exactly<Work<ExecResult, ExecResults>>()(work);
  for await (const result of work) exactly<ExecResult>()(result);
  const results = await work;
  exactly<ExecResults>()(results);
  exactly<readonly ExecResult[]>()(results.failed);
  exactly<ExecResult | undefined>()(results.get("web1"));
  exactly<number | undefined>()(results.ok[0]?.code);
  const [folded] = results.foldBy(({ code }) => code);
  exactly<Folded<ExecResult, number | undefined> | undefined>()(folded);
  exactly<ExecResults>()(await fleet.exec(words).orThrow());
  const [one, two] = await Promise.all([fleet.exec(line), fleet.facts()]);
  exactly<ExecResults>()(one);
  exactly<Results<FactsResult>>()(two);
  const word: ShellWord = ["a", 1];
  exactly<Work<ExecResult, ExecResults>>()(fleet.sh`echo ${word} ${1} ${"x"}`);
  exactly<ExecResult>()(await fleet.host("web1").exec(line));
  const end: HostEnd = await fleet.host("web1").sh`true`;
  exactly<SerializedError | undefined>()(end.error);
  // @ts-expect-error words are texts
  fleet.exec(["sleep", 1]);
  // @ts-expect-error an object is no word of a shell
  fleet.sh`echo ${{}}`;
  // @ts-expect-error a variable is a text or a secret
  fleet.exec(line, { env: { A: 1 } });
  // @ts-expect-error the results of one host are no map
  (await fleet.host("web1").exec(line)).failed;
  // @ts-expect-error an exit code is a number
  results.ok[0]!.code = "0";
  // @ts-expect-error only the results of commands fold by themselves
  (await fleet.facts()).fold();
}

export async function actions(fleet: Fleet): Promise<void> {
  const options: ApplyOptions = {
    check: true,
    become: true,
    onOutput: (_host, _stream, text) => exactly<string>()(text),
  };
  const ran = await fleet.host("web1").apply(command("true"), options);
  exactly<number | undefined>()(ran.data?.rc);
  const copied = await fleet.apply(copy({ content: "x", dest: "/x" }));
  const first: ApplyResult | undefined = copied.get("web1");
  exactly<"unchanged" | "changed" | "skipped" | "failed" | undefined>()(first?.state);
  const asking: FactsOptions = { become: false };
  exactly<string | undefined>()((await fleet.host("web1").facts(asking)).facts?.kernel);
  // @ts-expect-error an action that was not called
  fleet.apply(copy);
  // @ts-expect-error a command's data has no such field
  ran.data?.rcc;
}

export async function files(fleet: Fleet): Promise<void> {
  const options: TransferOptions = { preserve: true, onProgress: (_host, bytes) => exactly<number>()(bytes) };
  exactly<Work<FilesResult>>()(fleet.put(["a", "b"], "/srv", options));
  exactly<FilesResult>()(await fleet.host("web1").get("/etc/hosts", "."));
  // @ts-expect-error a destination is needed
  fleet.put("a");
}

export async function streams(host: FleetHost): Promise<void> {
  const options: StartOptions = { cwd: "/", env: { A: secret.env("A") } };
  await using process: HostProcess = await host.start(["cat"], options);
  exactly<Writable>()(process.stdin);
  exactly<Readable>()(process.stdout);
  exactly<HostExit>()(await process.exit);
  const size: ShellOptions = { columns: 80, rows: 24, term: "xterm" };
  await using shell: HostShell = await host.shell(size);
  const duplex: Duplex = shell;
  duplex.pipe(Duplex.from([]));
  shell.resize({ columns: 1, rows: 1 });
  const local: ForwardOptions = { local: 8080, to: "127.0.0.1:80" };
  await using forwarding: Forwarding = await host.forward(local);
  exactly<number>()(forwarding.port);
  await host.forward({ remote: "0.0.0.0:8080", to: "127.0.0.1:80" });
  await host.forward({ dynamic: 1080 });
  // @ts-expect-error a target is needed
  await host.forward({ local: 8080 });
  // @ts-expect-error an address needs a port
  await host.forward({ dynamic: "127.0.0.1" });
  // @ts-expect-error both sizes
  shell.resize({ columns: 1 });
}

export function errors(thrown: unknown): void {
  if (thrown instanceof HostsFailed) {
    exactly<Results<HostEnd>>()(thrown.results);
    const error: VolleyError = thrown;
    exactly<ErrorCode>()(error.code);
  }
  if (isVolleyError(thrown)) exactly<VolleyError>()(thrown);
  new VolleyError("USAGE", "what is wrong", { hint: "what to do" });
  // @ts-expect-error a code that there is not
  new VolleyError("NONE", "what is wrong");
}
