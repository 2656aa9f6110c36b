import { expect, test } from "vitest";
import { parseSeconds } from "../../../src/core/unix/duration.ts";
import { fillPath } from "../../../src/transport/ssh-config/options.ts";
import { argumentWords, parseSshArguments } from "../../../src/transport/ssh-config/parse.ts";
import { parseJumps } from "../../../src/transport/ssh-config/values.ts";

function options(text: string): readonly (readonly [string, ...string[]])[] {
  return parseSshArguments(text, "args").options.map(({ name, words }) => [name, ...words]);
}

test.each([
  ["", []],
  ["-o StrictHostKeyChecking=no", [["stricthostkeychecking", "false"]]],
  ["-oStrictHostKeyChecking=no", [["stricthostkeychecking", "false"]]],
  ['-o "StrictHostKeyChecking no"', [["stricthostkeychecking", "false"]]],
  ["-o 'UserKnownHostsFile=/a /b'", [["userknownhostsfile", "/a", "/b"]]],
  [`-o ProxyCommand="ssh -W %h:%p -q 'bastion host'"`, [["proxycommand", "ssh -W %h:%p -q 'bastion host'"]]],
  [
    "-J a,b -i ~/key -p 22 -l me",
    [
      ["proxyjump", "a,b"],
      ["identityfile", "~/key"],
      ["port", "22"],
      ["user", "me"],
    ],
  ],
  [
    "-p2222 -A -C",
    [
      ["port", "2222"],
      ["forwardagent", "yes"],
      ["compression", "yes"],
    ],
  ],
  [
    "-AC -qtt -v",
    [
      ["forwardagent", "yes"],
      ["compression", "yes"],
    ],
  ],
  ["-4", [["addressfamily", "inet"]]],
])("%s", (text, expected) => {
  expect(options(text)).toEqual(expected);
});

test.each(["-W host:22", "-D 1080", "bastion", "-o", "-o Name", "-J", "-Z", "--", "-", "-o =x"])(
  "%s is refused, and named",
  (text) => {
    expect(() => parseSshArguments(text, "ansible_ssh_common_args of host web1")).toThrow(
      expect.objectContaining({
        code: "USAGE",
        message: expect.stringMatching(/^ansible_ssh_common_args of host web1: ".*" is not understood$/),
      }),
    );
  },
);

test("-J is passed on as an option, which does not clash with a ProxyCommand", () => {
  expect(parseSshArguments("-J a -q -A", "args").words).toEqual(["-o", "ProxyJump=a", "-A"]);
});

test.each([
  ["a  b\tc", ["a", "b", "c"]],
  [`'a b' "c d" e\\ f`, ["a b", "c d", "e f"]],
  [`a'b'"c"`, ["abc"]],
  [`"a\\"b" '' "\\x"`, [`a"b`, "", "\\x"]],
])("words of %s", (text, words) => {
  expect(argumentWords(text, "args")).toEqual(words);
});

test("a quote that is not closed", () => {
  expect(() => argumentWords("'a", "args")).toThrow("args: a quote is not closed");
});

test.each([
  ["host", { host: "host", user: undefined, port: undefined }],
  ["me@host:23", { host: "host", user: "me", port: 23 }],
  ["ssh://me@host:23/", { host: "host", user: "me", port: 23 }],
  ["me@corp.org@host", { host: "host", user: "me@corp.org", port: undefined }],
  ["[fd00::1]:24", { host: "fd00::1", user: undefined, port: 24 }],
  ["me@[fd00::1]", { host: "fd00::1", user: "me", port: undefined }],
  ["fe80::1%eth0", { host: "fe80::1%eth0", user: undefined, port: undefined }],
])("jump %s", (text, expected) => {
  expect(parseJumps(text)).toEqual([expected]);
});

test.each(["", "a,,b", "host:port", "-oProxyCommand=x", "a b"])("jump %j is refused", (text) => {
  expect(() => parseJumps(text)).toThrow(/is not a host to jump through/);
});

test.each([
  ["30", 30],
  ["1m30s", 90],
  ["2H", 7_200],
  ["0", 0],
  ["soon", undefined],
  ["none", undefined],
])("time %s", (text, seconds) => {
  expect(parseSeconds(text)).toBe(seconds);
});

test("tokens and variables in paths; what is not known is refused, as ssh does", () => {
  process.env.VOLLEY_TEST_DIR = "/keys";
  const [known, unknown] = ["VOLLEY_TEST_DIR", "NOT_SET_ANYWHERE"].map((name) => `\${${name}}`);
  expect(fillPath(`${known}/%h-%%`, { h: "web1" })).toBe("/keys/web1-%");
  expect(() => fillPath("/x/%Z", { h: "web1" })).toThrow("there is no token %Z");
  expect(() => fillPath(`/x/${unknown}`, { h: "web1" })).toThrow("is not set in the environment");
  delete process.env.VOLLEY_TEST_DIR;
});
