import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { EmbeddedFleet, EmbeddedHost } from "../../../src/embedded/options.ts";
import { listKept, stopKept } from "../../../src/transport/persist/visit.ts";
import type { Connection, RemoteProcess } from "../../../src/transport/transport.ts";
import { until } from "../../lib/patience.ts";
import { type KnownFleet, keptWays } from "../lib/kept.ts";
import { connectTo, fleetStarter, hostsOf, output } from "../lib/reach.ts";
import { scratchHome } from "../lib/scratch.ts";
import { canLogIn, makeKey, startSshd } from "../lib/sshd.ts";

const scratch = scratchHome();
const startFleet = fleetStarter();
const { directory, startBackground, open, allIdle } = keptWays(scratch);
const { signal } = new AbortController();

/** A fleet of one host, whose commands are here. */
interface Site extends KnownFleet {
  readonly hosts: readonly (KnownFleet["hosts"][number] & Pick<EmbeddedHost, "home">)[];
}

/** A command that tells of its start and its end in files, and does something with a line of its input alone. */
const launch = (name: string, directory = "."): string =>
  `cd ${directory}; echo $$ >> starts; echo "${name} $$"; if read line; then echo "$line" >> done; echo "did $line"; fi; echo $$ >> ends`;
const LAUNCH = launch("bundle");

/** The lines that commands have written to a file of the host. */
function told(fleet: Site, name: "starts" | "ends" | "done"): readonly string[] {
  const path = join(fleet.hosts[0]!.home, name);
  return existsSync(path) ? readFileSync(path, "utf8").trimEnd().split("\n") : [];
}

const execs = (fleet: EmbeddedFleet): number => fleet.hosts[0]!.stats.execs;
const logins = (fleet: EmbeddedFleet): number => fleet.hosts[0]!.stats.connections;

/** A client whose greeting has reached the background process, if not more. */
interface Client {
  connect(): Promise<Connection>;
  /** End the client, and with it its connection. */
  close(): void;
}

async function greet(fleet: Site, words?: string): Promise<Client> {
  const ways = await open(fleet, words === undefined ? {} : { words });
  const connections: Connection[] = [];
  return {
    connect: async () => {
      const connection = await connectTo(ways, hostsOf(fleet)[0]!);
      connections.push(connection);
      return connection;
    },
    close: () => {
      for (const connection of connections) connection.close();
      ways.close();
    },
  };
}

/** Greet the background process, and wait until so many commands have been started on the host. */
async function greetUntil(fleet: Site, words: string, starts: number): Promise<Client> {
  const client = await greet(fleet, words);
  await until(() => told(fleet, "starts").length === starts);
  return client;
}

const ask = (connection: Connection, command = LAUNCH): Promise<RemoteProcess> =>
  connection.exec(command, signal, { awaitsInput: true });

/** Give a process its input, and read its output from the beginning. */
async function give({ stdin, stdout, stderr, exit }: RemoteProcess, line?: string): Promise<string> {
  let text = "";
  for (const stream of [stdout, stderr])
    stream.on("data", (chunk: Buffer) => {
      text += chunk.toString();
    });
  stdin.end(line === undefined ? undefined : `${line}\n`);
  expect(await exit).toEqual({ kind: "exited", code: 0 });
  return text;
}

/** Be a client of these words, from the greeting to the end, that starts a command. */
async function run(
  fleet: Site,
  words: string | undefined,
  start: (connection: Connection) => Promise<unknown> = async (connection) =>
    give(await ask(connection), "job"),
): Promise<void> {
  const client = await greet(fleet, words);
  await start(await client.connect());
  client.close();
  await allIdle();
}

const runPlain = (fleet: EmbeddedFleet, words: string | undefined): Promise<void> =>
  run(fleet, words, (connection) => output(connection, "true"));

/** A host on which a command line has started its command once. */
async function hostThatKnows(
  words: string,
  options: Parameters<typeof startFleet>[0] = {},
): Promise<EmbeddedFleet> {
  await startBackground();
  const fleet = await startFleet(options);
  await run(fleet, words);
  expect(told(fleet, "done")).toEqual(["job"]);
  return fleet;
}

it("the same words get the process that was started before they asked, and all of its output", async () => {
  const fleet = await hostThatKnows("run site");
  const client = await greetUntil(fleet, "run site", 2);
  const pid = told(fleet, "starts")[1];
  const before = execs(fleet);
  const connection = await client.connect();
  expect(await give(await ask(connection), "second")).toBe(`bundle ${pid}\ndid second\n`);
  expect(execs(fleet)).toBe(before);
  // Once taken, it is nobody else's.
  expect(await give(await ask(connection), "third")).toContain("did third\n");
  expect(execs(fleet)).toBe(before + 1);
  expect(told(fleet, "done")).toEqual(["job", "second", "third"]);
  client.close();
  expect(logins(fleet)).toBe(1);
});

it("another command ends the one that was started, without input, and gets its own process", async () => {
  const fleet = await hostThatKnows("run site");
  const client = await greetUntil(fleet, "run site", 2);
  const pid = told(fleet, "starts")[1]!;
  const connection = await client.connect();
  expect(await give(await ask(connection, launch("changed")), "new")).toMatch(/^changed \d+\ndid new\n$/);
  await until(() => told(fleet, "ends").includes(pid));
  client.close();
  expect(told(fleet, "done")).toEqual(["job", "new"]);
  // From now on the words mean the other command.
  await allIdle();
  const next = await greetUntil(fleet, "run site", 4);
  expect(await give(await ask(await next.connect(), launch("changed")), "last")).toBe(
    `changed ${told(fleet, "starts")[3]}\ndid last\n`,
  );
  next.close();
});

it("other words, or none, start nothing", async () => {
  const fleet = await hostThatKnows("run site");
  for (const words of ["run other", undefined]) {
    const before = execs(fleet);
    await runPlain(fleet, words);
    expect(execs(fleet)).toBe(before + 1);
  }
  expect(told(fleet, "starts")).toHaveLength(1);
});

it("a command that may do something without input is never started ahead", async () => {
  await startBackground();
  const fleet = await startFleet();
  await run(fleet, "exec", async (connection) => give(await connection.exec(LAUNCH, signal), "job"));
  await runPlain(fleet, "exec");
  expect(execs(fleet)).toBe(2);
  expect(told(fleet, "starts")).toHaveLength(1);
});

it("the end of a client that has not asked is the end of its command", async () => {
  const fleet = await startFleet();
  const background = await startBackground(1_000);
  await run(fleet, "run site");
  const client = await greetUntil(fleet, "run site", 2);
  client.close();
  await until(() => told(fleet, "ends").length === 2);
  expect(told(fleet, "done")).toEqual(["job"]);
  // The connection is there for the next one.
  await run(fleet, "run site");
  expect(logins(fleet)).toBe(1);
  // Nothing of the client is left that the background process would wait for.
  await stopKept(directory(), ["web01"]);
  await background.ended;
});

it("a command that has ended by itself is started anew", async () => {
  await startBackground();
  const fleet = await startFleet();
  const command = 'echo $$ >> starts; if [ -e bundle ]; then echo "here"; read line; else echo "missing"; fi';
  const start = async (connection: Connection): Promise<void> =>
    expect(await give(await ask(connection, command), "job")).toBe("missing\n");
  await run(fleet, "run site", start);
  const client = await greetUntil(fleet, "run site", 2);
  const connection = await client.connect();
  await until(() => !existsSync(`/proc/${told(fleet, "starts")[1]}`));
  // The answer of the host to this comes after the end of that process.
  await output(connection, "touch bundle");
  expect(await give(await ask(connection, command), "job")).toBe("here\n");
  client.close();
});

/** Uses of the session that a command which was started ahead has taken. */
const usesOf = (directory: string): readonly ((connection: Connection) => Promise<void>)[] => [
  async (connection) => {
    const files = await connection.files(signal);
    expect((await files.list(directory)).map(({ name }) => name)).toContain("starts");
    files.close();
    await files.closed;
  },
  async (connection) => expect(await output(connection, "echo plain")).toBe("plain\n"),
  async (connection) =>
    expect(await give(await ask(connection, launch("changed", directory)), "new")).toContain("did new\n"),
];

it("a host with one session makes room for SFTP, and for another command", async () => {
  const fleet = await hostThatKnows("run site", { faults: () => ({ kind: "maxSessions", sessions: 1 }) });
  for (const use of usesOf(".")) {
    const starts = told(fleet, "starts").length;
    const client = await greetUntil(fleet, "run site", starts + 1);
    const pid = told(fleet, "starts")[starts]!;
    await use(await client.connect());
    await until(() => told(fleet, "ends").includes(pid));
    client.close();
    await allIdle();
  }
  expect(told(fleet, "done")).toEqual(["job", "new"]);
  // A client that goes at once leaves a host that has not answered yet, and no dead one.
  const gone = await greetUntil(fleet, "run site", told(fleet, "starts").length + 1);
  gone.close();
  await run(fleet, "run other");
  expect(logins(fleet)).toBe(1);
});

it.skipIf(!canLogIn)("sshd frees the only session a moment after the command has ended", async () => {
  await startBackground();
  const sshd = await startSshd(["MaxSessions 1"]);
  const privateKeyPath = scratch.path("key");
  sshd.authorize(makeKey(privateKeyPath));
  const { name, connection } = sshd.host();
  const home = scratch.path("home");
  const site: Site = {
    user: connection.user!,
    privateKeyPath,
    knownHostsPath: scratch.write("known", `[127.0.0.1]:${sshd.port} ${sshd.hostKey}\n`),
    hosts: [{ name, address: "127.0.0.1", port: sshd.port, home }],
  };
  const launchThere = async (client: Connection): Promise<string> =>
    give(await ask(client, launch("bundle", home)), "job");
  for (const use of usesOf(home)) {
    await run(site, "run site", launchThere);
    await run(site, "run site", use);
  }
  expect(told(site, "done")).toEqual(["job", "job", "job", "new"]);
});

it("two clients with the same words at once get a process each", async () => {
  const fleet = await hostThatKnows("run site");
  const clients = [await greetUntil(fleet, "run site", 2), await greet(fleet, "run site")];
  const processes = await Promise.all(clients.map(async (client) => await ask(await client.connect())));
  const said = await Promise.all(processes.map((process, index) => give(process, `job ${index}`)));
  expect(said).toEqual([
    expect.stringMatching(/^bundle \d+\ndid job 0\n$/),
    expect.stringMatching(/^bundle \d+\ndid job 1\n$/),
  ]);
  expect(told(fleet, "starts")).toHaveLength(3);
  expect(logins(fleet)).toBe(2);
  for (const client of clients) client.close();
  await allIdle();
  // A single client needs one of the two connections; what was started on the other ends with it.
  const client = await greetUntil(fleet, "run site", 5);
  expect(await give(await ask(await client.connect()), "last")).toContain("did last\n");
  client.close();
  await until(() => told(fleet, "ends").length === 5);
  expect(told(fleet, "done")).toHaveLength(4);
});

it("a connection that dies with the command is made anew, and the command is started anew", async () => {
  const fleet = await hostThatKnows("run site");
  const client = await greetUntil(fleet, "run site", 2);
  fleet.hosts[0]!.dropConnections();
  await expect.poll(async () => await listKept(directory())).toEqual([]);
  const connection = await client.connect();
  expect(await give(await ask(connection), "new")).toContain("did new\n");
  await until(() => told(fleet, "ends").length === 3);
  expect(told(fleet, "starts")).toHaveLength(3);
  expect(told(fleet, "done")).toEqual(["job", "new"]);
  expect(logins(fleet)).toBe(2);
  client.close();
  await allIdle();
  expect(await listKept(directory())).toHaveLength(1);
});

it("at most eight command lines are remembered, those of late", async () => {
  const fleet = await hostThatKnows("words 1");
  for (let each = 2; each <= 8; each++) await run(fleet, `words ${each}`);
  // Used again, the first is the newest.
  await run(fleet, "words 1");
  await run(fleet, "words 9");
  const startsFor = async (words: string): Promise<number> => {
    const before = execs(fleet);
    await runPlain(fleet, words);
    return execs(fleet) - before - 1;
  };
  expect(await startsFor("words 2")).toBe(0);
  for (const words of ["words 1", "words 3", "words 9"]) expect(await startsFor(words)).toBe(1);
});
