// The files of the dashboard and of the API's page are such as their content security policy and their contributors
// expect.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const folder = new URL('../../src/http/dashboard/', import.meta.url);
const assets = new URL('assets/', folder);
const docs = new URL('../../src/http/docs/assets/', import.meta.url);
const read = (name, place = assets) => readFileSync(new URL(name, place), 'utf8');
const files = readdirSync(assets);
const isOwn = (name) => !name.startsWith('uPlot') && name !== 'LICENSE-uPlot';
const modules = files.filter((name) => name.endsWith('.js') && isOwn(name));

/** The files of both pages that were written for them: `[name, text]`. */
const written = [
  ...files.filter(isOwn).map((name) => [name, read(name)]),
  ...readdirSync(docs).map((name) => [`docs/${name}`, read(name, docs)]),
];

test('a file has at most 400 lines, and begins with what it is about', () => {
  for (const [name, text] of written.filter(([name]) => /\.(js|css)$/.test(name))) {
    const lines = text.split('\n');
    assert.ok(lines.length <= 401, `${name} has ${lines.length - 1} lines`);
    assert.match(lines[0], /^(\/\/|\/\*) /, name);
  }
});

test('no module makes markup or code of a text', () => {
  for (const [name, text] of written.filter(([name]) => name.endsWith('.js'))) {
    for (const way of [
      'innerHTML',
      'outerHTML',
      'insertAdjacentHTML',
      'document.write',
      'eval(',
      'new Function',
      'srcdoc',
      'javascript:',
    ]) {
      assert.ok(!text.includes(way), `${name} uses ${way}`);
    }
  }
});

test('nothing is loaded from another host, and nothing is inline', () => {
  for (const [name, text] of written) {
    assert.doesNotMatch(text.replaceAll('http://www.w3.org/2000/svg', ''), /https?:\/\//, name);
    if (name.endsWith('.css')) assert.doesNotMatch(text, /url\(|@import/, name);
    if (!name.endsWith('.html')) continue;
    assert.doesNotMatch(text, /\sstyle=|\son[a-z]+=|<style|<script(?![^>]* src=)/, name);
    for (const [, address] of text.matchAll(/(?:src|href)="([^"]*)"/g))
      assert.match(address, /^(#[a-z]+|(docs\/)?[a-zA-Z.]+)$/, `${name}: ${address}`);
  }
});

test('every file that another one names is there, and every file is named', () => {
  const named = new Set(['index.html', 'LICENSE-uPlot']);
  for (const [, name] of read('index.html').matchAll(/(?:src|href)="([a-zA-Z.]+)"/g)) named.add(name);
  for (const module of modules) for (const [, name] of read(module).matchAll(/from '\.\/([^']+)'/g)) named.add(name);
  assert.deepEqual([...named].sort(), [...files].sort());
  const page = read('index.html', docs).matchAll(/(?:src|href)="docs\/([^"]+)"/g);
  assert.deepEqual(['index.html', ...[...page].map(([, name]) => name)].sort(), readdirSync(docs).sort());
  for (const [, name] of read('docs.js', docs).matchAll(/from ["']([^"']+)["']/g)) {
    assert.match(name, /^\.\.\/dashboard\/[a-z_]+\.js$/);
    assert.ok(files.includes(name.split('/').at(-1)), name);
  }
});

test('no two modules import each other, not even through others', () => {
  const imports = Object.fromEntries(
    modules.map((name) => [name, [...read(name).matchAll(/from '\.\/([^']+)'/g)].map(([, other]) => other)]),
  );
  const visit = (name, way) => {
    assert.ok(!way.includes(name), [...way, name].join(' → '));
    for (const other of imports[name] ?? []) visit(other, [...way, name]);
  };
  modules.forEach((name) => visit(name, []));
});

test('vendored files are those that were recorded', () => {
  const lines = readFileSync(new URL('uplot.sha256', folder), 'utf8').trim().split('\n').slice(1);
  assert.equal(lines.length, 3);
  for (const line of lines) {
    const [digest, name] = line.split('  ');
    assert.equal(
      createHash('sha256')
        .update(readFileSync(new URL(name, folder)))
        .digest('hex'),
      digest,
      name,
    );
  }
});
