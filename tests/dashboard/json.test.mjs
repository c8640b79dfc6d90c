// JSON keeps its digits, where the engine can.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { canonical, parseExact } from '../../src/http/dashboard/assets/json.js';

test(
  'integers beyond 2^53 are written as they were read',
  { skip: !JSON.rawJSON && 'this Node has no JSON.rawJSON' },
  () => {
    const text = '{"amount":9223372036854775807,"small":12,"share":0.5,"large":1e30}';
    assert.equal(
      JSON.stringify(parseExact(text)),
      '{"amount":9223372036854775807,"small":12,"share":0.5,"large":1e+30}',
    );
    assert.notEqual(canonical(parseExact(text)), canonical(parseExact(text.replace('775807', '775806'))));
  },
);

test('values are compared whatever the order of their members', () => {
  const [one, other] = ['{"a":{"x":1,"y":[1,2]},"b":null}', '{"b":null,"a":{"y":[1,2],"x":1}}'].map(parseExact);
  assert.equal(canonical(one), canonical(other));
  assert.notEqual(canonical(one), canonical(parseExact('{"a":{"x":1,"y":[2,1]},"b":null}')));
});
