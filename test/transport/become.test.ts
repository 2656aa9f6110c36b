import { expect, it } from "vitest";
import type { Become } from "../../src/core/unix/users.ts";
import { explainBecome, wrongPassword } from "../../src/transport/become.ts";

const failed = (become: Become) => ({ host: "web1", login: "ops", become });
const sudo = failed({ user: "root", method: "sudo" });

const LOCKED = /faillock --reset/;
const PASSWORD = /^give the password that sudo asks for/;
const SUDOERS = /add a rule for the user to its sudoers/;

it.each([
  // sudo 1.9
  ["sudo: a password is required", PASSWORD],
  ["ops is not in the sudoers file.", SUDOERS],
  ["sudo: unknown user app", /there is no user root/],
  // sudo-rs
  ["sudo: interactive authentication is required", PASSWORD],
  ["sudo: Interaction is required", PASSWORD],
  ["sudo: A terminal is required to authenticate", PASSWORD],
  ["sudo: I'm sorry ops. I'm afraid I can't do that", SUDOERS],
  ["sudo: user 'app' not found", /there is no user root/],
  ["sudo: Account validation failure, is your account locked?", LOCKED],
  // PAM
  ["The account is locked due to 3 failed logins.", LOCKED],
  ["sudo: Have exhausted maximum number of retries for service", LOCKED],
  ["There were too many logins for 'root'.", /maxlogins/],
  // These messages are not about an account.
  ["sudo: unable to open /etc/sudoers: Too many open files", PASSWORD],
  ["sudo: /etc/sudoers: Too many levels of symbolic links", PASSWORD],
])("%s", (said, hint) => {
  const error = explainBecome(sudo, `${said}\n`, false, 1);
  expect(error?.message).toContain(said);
  expect(error?.hint).toMatch(hint);
});

it("a refused password is named by whose it must be: sudo says it, su takes that of the user to become", () => {
  expect(wrongPassword(sudo).hint).toContain("it must be ops's password");
  // `Defaults rootpw` or `targetpw`.
  expect(wrongPassword(sudo, "root").hint).toContain("it must be root's password");
  expect(wrongPassword(failed({ user: "app", method: "su" })).hint).toContain("it must be app's password");
});
