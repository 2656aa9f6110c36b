import { Command } from "commander";
import { describe, expect, it } from "vitest";
import { addDoCommand } from "../../../src/cli/do/do.ts";
import { markCommand, pairOf } from "../../../src/cli/do/words.ts";

const [command] = ((program: Command) => {
  addDoCommand(program);
  return program.commands;
})(new Command("volley").enablePositionalOptions());

/** The words behind `do` as commander gets them. */
const marked = (...args: readonly string[]): string => markCommand(args, command!).join(" ");

describe("the words of a command on hosts", () => {
  it("are its own from the first one on", () => {
    expect(marked("web", "command", "ls", "-l", "/srv")).toBe("web command -- ls -l /srv");
    expect(marked("-b", "web", "shell", "uptime", "-p")).toBe("-b web shell -- uptime -p");
    expect(marked("web", "ansible.builtin.command", "node", "--version")).toBe(
      "web ansible.builtin.command -- node --version",
    );
    expect(marked("web", "command", "chdir=/srv", "-C", "ls", "-l")).toBe(
      "web command chdir=/srv -C -- ls -l",
    );
  });

  it("leave options behind a quoted line to Volley", () => {
    expect(marked("web", "shell", "ls | wc -l", "-b", "chdir=/srv")).toBe(
      "web shell ls | wc -l -b chdir=/srv",
    );
  });

  it("are found behind options with and without values", () => {
    expect(marked("-bC", "-f5", "-i", "inv", "--limit=a", "-w", "web", "raw", "id", "-u")).toBe(
      "-bC -f5 -i inv --limit=a -w web raw -- id -u",
    );
    expect(marked("-bi", "inv", "web", "raw", "id", "-u")).toBe("-bi inv web raw -- id -u");
    expect(marked("web", "-m", "shell", "id", "-u")).toBe("web -m shell -- id -u");
    expect(marked("web", "--module-name=shell", "id", "-u")).toBe("web --module-name=shell -- id -u");
  });

  it("are none where the action takes parameters", () => {
    expect(marked("web", "apt", "name=nginx", "-b", "-C")).toBe("web apt name=nginx -b -C");
    expect(marked("web", "command", "--", "ls", "-l")).toBe("web command -- ls -l");
    expect(marked("web", "-m", "command", "-a", "ls -l", "-b")).toBe("web -m command -a ls -l -b");
  });
});

it("a parameter's value begins behind the first =, and may be empty", () => {
  expect(pairOf("line=a = b")).toEqual(["line", "a = b"]);
  expect(pairOf("content=")).toEqual(["content", ""]);
  expect(pairOf("set-x=1\n2")).toEqual(["set-x", "1\n2"]);
  for (const word of ["nginx", "=x", "/a=b", "{{ x }}=1", "two words=1"])
    expect(pairOf(word)).toBeUndefined();
});
