import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { template } from "../../../src/actions/files/template.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

let sandbox: Sandbox;
const at = (path: string): string => join(sandbox.root, path);
const read = (path: string): string => readFileSync(at(path), "utf8");
const source = (name: string, text: string): void =>
  writeFileSync(join(sandbox.role, "templates", name), text);

beforeEach(() => {
  sandbox = makeSandbox();
  mkdirSync(at("etc"));
  mkdirSync(join(sandbox.role, "templates"));
});
afterEach(() => sandbox[Symbol.dispose]());

it("writes what it renders, and shows it", async () => {
  source(
    "app.conf.j2",
    "# {{ ansible_managed }}\n{% for port in ports %}\nlisten {{ port }}\n{% endfor %}\n",
  );
  const options = { vars: { ports: [80, 443] } };
  const call = template({ src: "app.conf.j2", dest: "/etc/app.conf", mode: "0640" });
  const { check } = await checkApplyAgain(sandbox, call, options);
  const after = "# Ansible managed\nlisten 80\nlisten 443\n";
  expect(read("etc/app.conf")).toBe(after);
  expect(statSync(at("etc/app.conf")).mode & 0o777).toBe(0o640);
  expect(check.change?.diff).toEqual({
    path: "/etc/app.conf",
    before: null,
    after,
    attributes: { mode: ["", "0640"] },
  });
  const changed = await checkApplyAgain(sandbox, call, { vars: { ports: [80], ansible_managed: "by us" } });
  expect(changed.check.change?.diff).toEqual({
    path: "/etc/app.conf",
    before: after,
    after: "# by us\nlisten 80\n",
  });
  expect(changed.first.data).toMatchObject({
    ...{ dest: "/etc/app.conf", src: "app.conf.j2", size: 18, mode: "0640", state: "file" },
    ...{ md5sum: "3a4cd92e3cc256585320fef93383d0e6", checksum: "c0761299a21f40783d1e644e944dcfec644a8d93" },
  });
  expect(changed.second.data).toMatchObject({ path: "/etc/app.conf", dest: "/etc/app.conf" });
});

it("adds the name of the template to a directory, and writes other line endings", async () => {
  source("dos.txt", "a\nb\n{{ template_path }} {{ template_destpath }}");
  await checkApplyAgain(sandbox, template({ src: "dos.txt", dest: "/etc/", newline_sequence: "\r\n" }));
  expect(read("etc/dos.txt")).toBe("a\r\nb\r\ndos.txt /etc/dos.txt");
});

it("leaves a file alone without force, and does not render then", async () => {
  source("x.j2", "{{ missing_name }}");
  writeFileSync(at("etc/x"), "mine\n");
  const call = template({ src: "x.j2", dest: "/etc/x", force: false });
  expect((await pass(call, sandbox.system, sandbox.context())).inspected?.message).toBe(
    "/etc/x exists already",
  );
  expect(read("etc/x")).toBe("mine\n");
});

it("fails before anything is touched when the template does", async () => {
  source("x.j2", "{{ missing_name }}");
  const call = template({ src: "x.j2", dest: "/etc/x" });
  await expect(pass(call, sandbox.system, sandbox.context())).rejects.toMatchObject({
    code: "TEMPLATE_FAILED",
  });
});

it("names a wrong parameter", () => {
  // @ts-expect-error a parameter that does not exist
  expect(() => template({ source: "x", dest: "/y" })).toThrow('unknown parameter "source"');
});

it("takes other marks, line endings and encodings", async () => {
  source("marks.j2", "<% if true %>\n[[ name ]] {{ x }}\n<% endif %>\n");
  const call = template({
    src: "marks.j2",
    dest: "/etc/marks",
    ...{ block_start_string: "<%", block_end_string: "%>" },
    ...{ variable_start_string: "[[", variable_end_string: "]]" },
    ...{ newline_sequence: "\\r\\n", output_encoding: "latin-1" },
  });
  await checkApplyAgain(sandbox, call, { vars: { name: "é" } });
  expect(readFileSync(join(sandbox.root, "etc/marks"), "latin1")).toBe("é {{ x }}\r\n");
  expect(() => template({ src: "a", dest: "/b", output_encoding: "ebcdic" })).toThrow("must be one of utf-8");
});
