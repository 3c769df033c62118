import assert from 'node:assert/strict';

/** Fails, and says how many and which, where some of the expected numbers are missing or doubled, or others are there. */
export function eachOnce(numbers: readonly number[], expected: readonly number[], about = ''): void {
  const counts = new Map<number, number>(expected.map((n) => [n, 0]));
  const strange: number[] = [];
  for (const n of numbers) {
    if (counts.has(n)) counts.set(n, (counts.get(n) as number) + 1);
    else strange.push(n);
  }
  const all = [...counts];
  const found = {
    missing: all.filter(([, count]) => count === 0).map(([n]) => n),
    doubled: all.filter(([, count]) => count > 1).map(([n]) => n),
    strange,
  };
  const said = Object.entries(found).map(([what, some]) => `${some.length} ${what} (${some.slice(0, 10)})`);
  assert.ok(
    !Object.values(found).some(({ length }) => length > 0),
    `${said.join(', ')} of ${expected.length} ${about}`,
  );
}

/** The same, and where they are not in their order. */
export function eachOnceInOrder(numbers: readonly number[], expected: readonly number[], about = ''): void {
  eachOnce(numbers, expected, about);
  const index = numbers.findIndex((n, place) => n !== expected[place]);
  assert.ok(index < 0, `at ${index} comes ${numbers.slice(index, index + 10)} ${about}`);
}
