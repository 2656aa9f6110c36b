import { beforeEach, describe, expect, it } from "vitest";
import { sessionRefused } from "../../src/transport/connect-errors.ts";
import { createSessions } from "../../src/transport/sessions.ts";
import type { Sessions } from "../../src/transport/transport.ts";
import { until } from "../lib/patience.ts";

/** A session that a server grants while it has fewer than `most`. */
interface Session {
  readonly name: string;
  readonly ended: Promise<void>;
  end(): void;
}

let most: number;
let now: Session[];
let attempts: number;
let sessions: Sessions;

beforeEach(() => {
  now = [];
  attempts = 0;
  sessions = createSessions("web01");
});

const start = async (name: string): Promise<Session> => {
  attempts++;
  await new Promise(setImmediate);
  if (now.length >= most) throw sessionRefused("web01");
  let resolve!: () => void;
  const ended = new Promise<void>((done) => {
    resolve = done;
  });
  const session: Session = {
    name,
    ended,
    end: () => {
      now.splice(now.indexOf(session), 1);
      resolve();
    },
  };
  now.push(session);
  return session;
};
type Options = Parameters<Sessions["open"]>[2];
const open = (name: string, options?: Options): Promise<Session> =>
  sessions.open(
    () => start(name),
    ({ ended }) => ended,
    options,
  );
const names = (): readonly string[] => now.map(({ name }) => name);
const REFUSED = { code: "SESSION_REFUSED", message: expect.stringContaining("web01") };

describe("Sessions", () => {
  it("are opened in the order of asking, as others end, and the limit is told", async () => {
    most = 2;
    const opening = ["a", "b", "c", "d", "e"].map((name) => open(name));
    await sessions.limited.then((limit) => expect(limit).toBe(2));
    expect(names()).toEqual(["a", "b"]);
    for (const name of ["c", "d", "e"]) {
      now[0]!.end();
      await until(() => names().includes(name));
    }
    expect(names()).toEqual(["d", "e"]);
    await Promise.all(opening);
    expect(sessions.count()).toBe(2);
    // Known by now: no more is asked for.
    const before = attempts;
    await expect(open("f", { wait: "nothing" })).rejects.toMatchObject(REFUSED);
    expect(attempts).toBe(before);
  });

  it("are not limited to what a server granted once", async () => {
    most = 1;
    const first = await open("a");
    const second = open("b");
    await sessions.limited;
    most = 3;
    first.end();
    await second;
    await Promise.all([open("c", { wait: "freed" }), open("d", { wait: "freed" })]);
    expect(names()).toEqual(["b", "c", "d"]);
  });

  it("are waited for only where one ended a moment ago or is idle, if that is asked for", async () => {
    most = 1;
    const first = await open("a");
    await expect(open("b", { wait: "freed" })).rejects.toMatchObject(REFUSED);
    // The server frees the place later than both ends have closed the session.
    const opening = async (): Promise<string> => "closed";
    await sessions.open(opening, async () => {}, { wait: "freed" });
    const third = open("c", { wait: "freed" });
    await until(() => attempts >= 4);
    first.end();
    const idle = await third;
    sessions.idle(idle.end);
    await open("d", { wait: "freed" });
    expect(names()).toEqual(["d"]);
  });

  it("that are idle make room, unless the offer was taken back", async () => {
    most = 2;
    const [kept, idle] = await Promise.all([open("kept"), open("idle")]);
    const keep = sessions.idle(kept.end);
    keep();
    sessions.idle(idle.end);
    await open("next");
    expect(names()).toEqual(["kept", "next"]);
  });

  it("are refused where those that stay leave no room, to those that end before them alone", async () => {
    most = 1;
    const lock = await open("lock", { outlived: true });
    const told: string[] = [];
    const release = sessions.hold((text) => void told.push(text));
    const other = open("other");
    await expect(open("command", { outlived: true })).rejects.toMatchObject(REFUSED);
    sessions.tellHolder("KILL 7\n");
    expect(told).toEqual(["KILL 7\n"]);
    release();
    lock.end();
    expect((await other).name).toBe("other");
  });

  it("that a server never grants are refused to all who wait", async () => {
    most = 0;
    const all = await Promise.allSettled(["a", "b", "c"].map((name) => open(name)));
    expect(all).toMatchObject([{ reason: REFUSED }, { reason: REFUSED }, { reason: REFUSED }]);
    most = 1;
    expect((await open("d")).name).toBe("d");
  });

  it("are waited for no longer once cancelled, and other errors are passed on", async () => {
    most = 1;
    const first = await open("a");
    const stop = new AbortController();
    const cancelled = open("b", { signal: stop.signal });
    const next = open("c");
    await sessions.limited;
    stop.abort();
    await expect(cancelled).rejects.toMatchObject({ code: "CANCELLED" });
    await expect(open("d", { signal: stop.signal })).rejects.toMatchObject({ code: "CANCELLED" });
    first.end();
    expect((await next).name).toBe("c");
    most = 2;
    const failing = sessions.open(
      () => Promise.reject(new Error("no")),
      async () => {},
      { wait: "freed" },
    );
    await expect(failing).rejects.toThrow("no");
    expect(sessions.count()).toBe(1);
  });
});
