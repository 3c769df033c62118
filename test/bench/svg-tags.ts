import assert from 'node:assert/strict';

/** The tags of a text, in which each that is opened is closed in turn, and nothing else is of the markup. */
export function tagsOf(svg: string): string[] {
  const open: string[] = [];
  const names: string[] = [];
  const rest = svg.replaceAll(/<(\/?)(\w+)((?: [\w-]+="[^"<&]*")*)(\/?)>/g, (_tag, end, name, _attributes, empty) => {
    if (end) assert.equal(open.pop(), name);
    else {
      names.push(name);
      if (!empty) open.push(name);
    }
    return '';
  });
  assert.deepEqual(open, []);
  assert.doesNotMatch(rest, /[<>]|&(?!amp;|lt;|gt;)/);
  return names;
}
