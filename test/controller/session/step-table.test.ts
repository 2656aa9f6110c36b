import { describe } from "vitest";
import { broken, cancel, failed, goOn, kill, lost, table } from "./cases.ts";

describe("every state, every way to end it", () => {
  table("cancel", cancel, {
    waiting: "end cancelled",
    connecting: "end cancelled",
    "asking, before it listens": "end cancelled",
    // The job was sent with the question: whichever process there is, or comes, reads it.
    asking: "write cancel",
    uploading: "abort",
    "verifying, before it listens": "end cancelled",
    verifying: "write cancel",
    running: "write cancel",
    "at a barrier": "write cancel",
    "closing after bye": "write cancel",
    "away, not begun": "end cancelled",
    // The host may be at work: it is told once it is found.
    "away, at work": "",
    "attaching, before it listens": "",
    attaching: "write cancel",
    "running again": "write cancel",
    "about to restart": "write cancel",
  });

  const KILLED = "write kill, abort, wait kill 1000";
  table("kill", kill, {
    waiting: "end cancelled",
    connecting: "end cancelled",
    "asking, before it listens": "end cancelled",
    asking: KILLED,
    uploading: "abort, wait kill 1000",
    "verifying, before it listens": "end cancelled",
    verifying: KILLED,
    running: KILLED,
    "at a barrier": KILLED,
    "closing after bye": KILLED,
    "away, not begun": "end cancelled",
    "away, at work": "end cancelled",
    "attaching, before it listens": "end cancelled",
    attaching: KILLED,
    "running again": KILLED,
    "about to restart": KILLED,
  });

  table("the process is lost with the connection", lost, {
    waiting: "",
    connecting: "",
    "asking, before it listens": "leave, host:lost, connect",
    asking: "leave, host:lost, connect",
    // Its script has ended: the upload tells of the connection.
    uploading: "",
    "verifying, before it listens": "leave, host:lost, connect",
    verifying: "leave, host:lost, connect",
    running: "leave, host:lost, connect",
    "at a barrier": "leave, host:lost, connect",
    "closing after bye": "end ok",
    "away, not begun": "",
    "away, at work": "",
    "attaching, before it listens": "leave, connect after 100",
    attaching: "leave, connect after 100",
    "running again": "leave, host:lost, connect after 100",
    "about to restart": "leave, host:lost, connect",
  });

  table("the connection fails", failed("CONNECTION_LOST"), {
    waiting: "",
    connecting: "end lost CONNECTION_LOST",
    "asking, before it listens": "leave, host:lost, connect",
    asking: "leave, host:lost, connect",
    uploading: "leave, host:lost, connect",
    "verifying, before it listens": "leave, host:lost, connect",
    verifying: "leave, host:lost, connect",
    running: "",
    "at a barrier": "",
    "closing after bye": "",
    "away, not begun": "leave, connect after 100",
    "away, at work": "leave, connect after 100",
    "attaching, before it listens": "leave, connect after 100",
    attaching: "leave, connect after 100",
    "running again": "",
    "about to restart": "",
  });

  const REFUSED = "end unreachable AUTH_FAILED";
  table("the login is refused", failed("AUTH_FAILED"), {
    waiting: "",
    connecting: REFUSED,
    "asking, before it listens": REFUSED,
    asking: "end lost AUTH_FAILED",
    uploading: REFUSED,
    "verifying, before it listens": REFUSED,
    verifying: "end lost AUTH_FAILED",
    running: "",
    "at a barrier": "",
    "closing after bye": "",
    "away, not begun": "end lost CONNECTION_LOST",
    "away, at work": "end lost CONNECTION_LOST",
    "attaching, before it listens": "end lost CONNECTION_LOST",
    attaching: "end lost CONNECTION_LOST",
    "running again": "",
    "about to restart": "",
  });

  const FAILED = "end failed PROTOCOL_INVALID";
  const LOST = "end lost PROTOCOL_INVALID";
  table("the host sends nonsense", broken, {
    waiting: "end lost PROTOCOL_INVALID",
    connecting: LOST,
    "asking, before it listens": FAILED,
    asking: `write kill, ${FAILED}`,
    uploading: LOST,
    "verifying, before it listens": FAILED,
    verifying: `write kill, ${FAILED}`,
    running: `write kill, ${LOST}`,
    "at a barrier": `write kill, ${LOST}`,
    "closing after bye": `write kill, ${LOST}`,
    "away, not begun": LOST,
    "away, at work": LOST,
    "attaching, before it listens": FAILED,
    attaching: `write kill, ${FAILED}`,
    "running again": `write kill, ${LOST}`,
    "about to restart": `write kill, ${LOST}`,
  });

  table("the first word is late, or a try takes too long", failed("TIMEOUT"), {
    waiting: "",
    connecting: "end failed TIMEOUT",
    "asking, before it listens": "end failed TIMEOUT",
    asking: "end failed TIMEOUT",
    uploading: "end failed TIMEOUT",
    "verifying, before it listens": "end failed TIMEOUT",
    verifying: "end failed TIMEOUT",
    running: "",
    "at a barrier": "",
    "closing after bye": "",
    "away, not begun": "leave, connect after 100",
    "away, at work": "leave, connect after 100",
    "attaching, before it listens": "leave, connect after 100",
    attaching: "leave, connect after 100",
    "running again": "",
    "about to restart": "",
  });

  table("word to go on", goOn, {
    waiting: "",
    connecting: "",
    "asking, before it listens": "",
    asking: "write continue",
    uploading: "",
    "verifying, before it listens": "",
    verifying: "write continue",
    running: "write continue",
    "at a barrier": "write continue",
    "closing after bye": "write continue",
    "away, not begun": "",
    "away, at work": "",
    "attaching, before it listens": "",
    attaching: "write continue",
    "running again": "write continue",
    "about to restart": "write continue",
  });
});

/** A story: each input with the effects it has. */
