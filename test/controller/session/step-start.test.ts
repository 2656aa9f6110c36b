import { describe, expect, test } from "vitest";
import { INSTALLED, LAUNCH_EXITS, NO_NODE } from "../../../src/controller/session/answers.ts";
import type { Input } from "../../../src/controller/session/state.ts";
import { UNUSABLE } from "../../../src/core/runtimes.ts";
import {
  absent,
  begin,
  bye,
  cancel,
  connected,
  corrupt,
  endOf,
  event,
  exited,
  failed,
  feed,
  goOn,
  hello,
  lost,
  noNode,
  PASSWORD,
  playEnd,
  playStart,
  ready,
  STARTED,
  taskEnd,
  taskStart,
  tell,
  uploaded,
} from "./cases.ts";

test("a warm run: one connection, one script, no more", () => {
  const session = tell({}, [
    [begin, "host:connect, connect"],
    [connected, "host:connected, launch"],
    [ready, "job after 0"],
    [hello, "hello, host:cached, host:start"],
    [event(2, { type: "facts", elapsedMs: 1, facts: {} }), "facts"],
    [event(3, { type: "play:start", index: 0, play: "One", total: 1 }), "play:start"],
    [taskStart(4), "task:start"],
    [taskEnd(5), "task:end"],
    [playEnd(6), "play:end, play 0 ok"],
    [1_000],
    [goOn, "write continue"],
    [bye(7), "bye, wait last word 5000"],
    [exited(0), "end ok"],
  ]);
  expect(endOf(session)).toMatchObject({
    outcome: "ok",
    tally: { changed: 1 },
    uploadedBytes: 0,
    phases: { connect: 3, authenticate: 4, start: 20, facts: 10, tasks: 40, wait: 1_010, collect: 20 },
  });
});

describe("the bundle", () => {
  test("is sent when the host does not have it, while SFTP is opened beside the question", () => {
    const session = tell({ reused: false }, [
      [begin, "host:connect, connect"],
      [connected, "host:connected, launch, open SFTP"],
      [ready, "job after 0"],
      [absent, "upload 1"],
      [uploaded, "verify 1"],
      [ready, "job after 0"],
      [hello, "hello, host:start"],
    ]);
    expect(session.uploads.bytes).toBe(1_000);
  });

  test("is sent once more when it arrives damaged, and not a third time", () => {
    tell({}, [
      [begin, "host:connect, connect"],
      [connected, "host:connected, launch"],
      [ready, "job after 0"],
      [absent, "upload 1"],
      [uploaded, "verify 1"],
      [ready, "job after 0"],
      [corrupt, "upload 2"],
      [uploaded, "verify 2"],
      [ready, "job after 0"],
      [corrupt, "end failed UPLOAD_FAILED"],
    ]);
  });

  test("is sent again over another connection, however often it arrived damaged before", () => {
    const damaged = [...STARTED, absent, uploaded, ready, corrupt, failed("CONNECTION_LOST")];
    expect(feed({}, [...damaged, connected, ready, absent, uploaded, ready, corrupt]).last).toEqual([
      "upload 4",
    ]);
  });

  test("is not sent for ever to a host that never admits to have it", () => {
    const { last } = feed({}, [...STARTED, absent, uploaded, ready, absent, uploaded, ready, absent]);
    expect(last).toEqual(["end failed UPLOAD_FAILED"]);
  });

  test("is sent on standard input to a user with a copy of its own, who is asked again when it is damaged", () => {
    const session = tell({ become: PASSWORD, reused: false }, [
      [begin, "host:connect, connect"],
      [connected, "host:connected, launch"],
      [uploaded],
      [ready, "job after 0"],
      [corrupt, "launch"],
      [uploaded],
      [ready, "job after 0"],
      [hello, "hello, host:start"],
    ]);
    expect(session.uploads.bytes).toBe(2_000);
    const again = [uploaded, ready, corrupt] as const;
    expect(feed({ become: PASSWORD }, [begin, connected, ...again, ...again]).last).toEqual([
      "end failed UPLOAD_FAILED",
    ]);
  });

  test("that was being sent when the connection went is removed by the next question", () => {
    tell({}, [
      [begin, "host:connect, connect"],
      [connected, "host:connected, launch"],
      [ready, "job after 0"],
      [absent, "upload 1"],
      [failed("CONNECTION_LOST"), "leave, host:lost, connect"],
      [connected, "host:connected, launch left 1"],
      // The removal may not have happened, so the next launch asks for it again.
      [failed("CONNECTION_LOST"), "leave, connect after 100"],
      [connected, "host:connected, launch left 1"],
      [ready, "job after 0"],
      [absent, "upload 2"],
      [uploaded, "verify 2"],
      [ready, "job after 0"],
      [hello, "hello, host:start, host:back"],
      [lost, "leave, host:lost, connect after 200"],
      [connected, "host:connected, attach from 2"],
      [ready],
      [exited(LAUNCH_EXITS.unknownRun), "launch"],
    ]);
  });

  test.each<readonly [string, Input, string]>([
    ["cannot be kept", exited(LAUNCH_EXITS.noCache, "No space left on device"), "end failed UPLOAD_FAILED"],
    ["finds no Node", exited(LAUNCH_EXITS.noNode, "volley: no node"), "end failed NODE_MISSING"],
    ["is ended by a signal", exited(139), "end failed PROCESS_FAILED"],
    ["ends without a word", exited(1), "end failed PROTOCOL_INVALID"],
  ])("that %s", (_what, input, expected) => {
    expect(feed({}, [...STARTED, input]).last).toEqual([expected]);
    expect(feed({}, [...STARTED, absent, uploaded, ready, input]).last).toEqual([expected]);
  });

  test("may be cancelled before it is sent, while it is sent, and after", () => {
    expect(feed({}, [...STARTED, cancel, absent]).last).toEqual(["end cancelled"]);
    expect(feed({}, [...STARTED, absent, cancel, failed("CANCELLED")]).last).toEqual(["end cancelled"]);
    expect(feed({}, [...STARTED, absent, cancel, uploaded]).last).toEqual(["end cancelled"]);
    expect(feed({}, [...STARTED, absent, cancel, failed("CONNECTION_LOST")]).last).toEqual(["end cancelled"]);
    expect(
      feed({}, [...STARTED, absent, uploaded, ready, cancel, hello, bye(2, { cancelled: true }), exited(2)])
        .last,
    ).toEqual(["end cancelled"]);
  });
});

describe("without Node", () => {
  const DIRECT = "log, direct";
  test.each<readonly [string, readonly Input[]]>([
    ["the script says so", [...STARTED, noNode]],
    ["the bundle that is there says so", [...STARTED, exited(LAUNCH_EXITS.noNode)]],
    ["the bundle that was sent says so", [...STARTED, absent, uploaded, ready, exited(LAUNCH_EXITS.noNode)]],
  ])("`auto` works directly when %s", (_what, inputs) => {
    expect(feed({ via: "auto" }, inputs).last.join(", ")).toBe(DIRECT);
    const { session, last } = feed({ via: "auto" }, [...inputs, ready, hello]);
    expect(last).toEqual(["hello", "host:start"]);
    expect(session.via).toBe("direct");
  });

  test("`bundle` fails", () => {
    expect(feed({}, [...STARTED, exited(LAUNCH_EXITS.noNode, "volley: no Node")]).last).toEqual([
      "end failed NODE_MISSING",
    ]);
    expect(feed({}, [...STARTED, noNode]).last).toEqual(["end failed NODE_MISSING"]);
  });

  describe("and a runtime at hand", () => {
    const runtime = {
      id: "c".repeat(64),
      arch: "x64",
      version: "24.0.0",
      bytes: 40_000_000,
      unpackedBytes: 110_000_000,
      hasLibraries: true,
    } as const;
    const node = { mode: "send", runtimes: [runtime] } as const;
    const bare = (bundle: "absent" | "-", machine = "x86_64"): Input => ({
      type: "word",
      word: NO_NODE,
      rest: [machine, "6.1.0", "glibc-2.36", "900000", bundle],
    });
    const unusable = (reason: string): Input => ({ type: "word", word: UNUSABLE, rest: [reason] });

    test.each<readonly [string, readonly Input[], string]>([
      ["the runtime and the bundle are sent", [bare("absent")], "log, upload 1 with Node for x64"],
      ["the runtime alone, where the bundle is", [bare("-")], "log, upload 1 with Node for x64 alone"],
      ["then the bundle is started", [bare("-"), uploaded], "verify 1 with Node for x64 alone"],
      ["damaged: it is asked what is missing", [bare("-"), uploaded, corrupt], "launch or decline"],
      [
        "the bundle says that its Node is too old",
        [exited(LAUNCH_EXITS.noNode)],
        "launch or decline by version",
      ],
      ["which is asked once", [exited(LAUNCH_EXITS.noNode), exited(LAUNCH_EXITS.noNode)], "log, direct"],
      ["another processor", [bare("absent", "riscv64")], "log, direct"],
      ["of no use there", [unusable("noexec")], "log, direct"],
      ["of no use once it is there", [bare("absent"), uploaded, unusable("run")], "log, direct"],
      ["cancelled meanwhile", [cancel, bare("absent")], "end cancelled"],
    ])("%s", (_what, inputs, wanted) => {
      expect(feed({ via: "auto", node }, [...STARTED, ...inputs]).last.join(", ")).toBe(wanted);
    });

    test("`bundle` sends it as well, and fails where it is of no use", () => {
      expect(feed({ node }, [...STARTED, bare("absent")]).last.join(", ")).toBe(
        "log, upload 1 with Node for x64",
      );
      expect(feed({ node }, [...STARTED, unusable("denied")]).last).toEqual(["end failed NODE_MISSING"]);
    });

    test("damaged twice: given up", () => {
      const again = [bare("absent"), uploaded, corrupt];
      expect(feed({ node }, [...STARTED, ...again, ...again]).last).toEqual(["end failed UPLOAD_FAILED"]);
    });
  });

  test("a package manager installs Node, once, and gets no job", () => {
    const node = { mode: "package", runtimes: [] } as const;
    const installed: Input = { type: "word", word: INSTALLED, rest: [] };
    const bare: Input = { type: "word", word: NO_NODE, rest: ["x86_64", "6.1.0", "-", "-", "absent"] };
    const lacking = [...STARTED, bare];
    expect(feed({ via: "auto", node }, lacking).last.join(", ")).toBe("log, install");
    expect(feed({ via: "auto", node }, [...lacking, ready]).last).toEqual([]);
    expect(feed({ via: "auto", node }, [...lacking, ready, installed]).last.join(", ")).toBe(
      "launch or decline by version",
    );
    expect(feed({ via: "auto", node }, [...lacking, installed, bare]).last.join(", ")).toBe("log, direct");
    expect(feed({ node }, [...lacking, exited(1), bare]).last).toEqual(["end failed NODE_MISSING"]);
    const refused: Input = { type: "word", word: INSTALLED, rest: ["100", "E:", "no", "network"] };
    const lackOf = (end: Input): string | undefined =>
      endOf(feed({ node }, [...lacking, end, bare]).session)?.error?.message;
    expect(lackOf(refused)).toMatch(/its package manager could not install one: E: no network$/);
    expect(lackOf(installed)).toMatch(
      /its package manager has no Node 18 or newer, or an older one comes first in PATH$/,
    );
    expect(feed({ node }, [...lacking, ready, cancel, installed]).last).toEqual(["end cancelled"]);
  });

  test("a host worked on directly is lost with its connection", () => {
    const { last } = feed({ via: "direct" }, [begin, connected, ready, hello, playStart, lost]);
    expect(last).toEqual(["end lost CONNECTION_LOST"]);
    expect(feed({ via: "direct" }, [begin, connected, failed("CONNECTION_LOST")]).last).toEqual([
      "end lost CONNECTION_LOST",
    ]);
  });

  test("a host that another controller worked on directly cannot be gone on with", () => {
    const earlier = { known: true, method: "direct" } as const;
    expect(feed({ earlier }, [begin, connected]).last).toEqual([
      "host:connected",
      "end lost CONNECTION_LOST",
    ]);
  });
});
