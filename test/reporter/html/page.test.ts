import { expect, it } from "vitest";
import { html, jsonMarkup, markup, renderHtml } from "../../../src/reporter/html/page.ts";
import { CONTROL, HOSTILE } from "../lib/play.ts";

it("escapes text between tags and in attributes", () => {
  const text = `<script>alert("1")</script> & 'more'`;
  expect(renderHtml(html`<p title="${text}">${text}</p>`)).toBe(
    '<p title="&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;more&#39;">' +
      "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;more&#39;</p>",
  );
});

it("takes markup as it is, joins lists, and leaves out what is not there", () => {
  const items = ["a", "<b>"].map((item) => html`<li>${item}</li>`);
  expect(renderHtml(html`<ul>${items}${undefined}${false}${0}</ul>${markup("<hr>")}`)).toBe(
    "<ul><li>a</li><li>&lt;b&gt;</li>0</ul><hr>",
  );
});

it("keeps the ends of lines, and no other control character", () => {
  const shown = renderHtml(html`${`first\n${HOSTILE}\nlast`}`);
  expect(shown.startsWith("first\n")).toBe(true);
  expect(shown.endsWith("\nlast")).toBe(true);
  expect(shown).not.toMatch(CONTROL);
});

it("gives JSON that cannot end the element it stands in", () => {
  const value = { text: "</script><!-- & \u2028", list: [1] };
  const text = renderHtml(jsonMarkup(value));
  expect(text).not.toMatch(/[<>&\u2028]/);
  expect(JSON.parse(text)).toEqual(value);
});
