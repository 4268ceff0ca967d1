// What pages do beyond links and forms. Nothing depends on it.
(() => {
  'use strict';

  const all = (selector) => [...document.querySelectorAll(selector)];

  // Moments in the reader's own time; UTC stays in the title.
  const here = new Intl.DateTimeFormat(undefined, {
    year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit',
  });
  const localize = () => {
    for (const time of all('time[datetime]')) {
      const moment = new Date(time.dateTime);
      if (!Number.isNaN(moment.getTime())) time.textContent = here.format(moment);
    }
  };

  // A page out of the browser's memory may be older than its rows, or than its reader's signing out.
  window.addEventListener('pageshow', (event) => { if (event.persisted) location.reload(); });

  // Where a table is wider than the screen, Tab stops at it, so that arrow keys scroll it.
  const stopAtWide = () => {
    for (const box of all('.scroll')) {
      const name = `${box.querySelector('caption')?.textContent ?? 'Table'}, scrolls sideways`;
      for (const [attribute, value] of [['tabindex', '0'], ['role', 'group'], ['aria-label', name]]) {
        if (box.scrollWidth > box.clientWidth) box.setAttribute(attribute, value);
        else box.removeAttribute(attribute);
      }
    }
  };
  const arrange = () => {
    localize();
    stopAtWide();
  };
  arrange();
  document.addEventListener('htmx:after:swap', arrange);
  window.addEventListener('resize', stopAtWide);

  // Keys: / searches, ? tells, g and a letter goes, j and k choose a row, Enter opens it, Esc leaves.
  const sheet = document.getElementById('keys');
  const rows = () => all('[data-row]');
  let goes = false;

  const choose = (step) => {
    const links = rows();
    if (links.length === 0) return;
    const at = links.findIndex((link) => link.closest('tr').classList.contains('at'));
    links.forEach((link) => link.closest('tr').classList.remove('at'));
    const next = at < 0 ? 0 : Math.min(Math.max(at + step, 0), links.length - 1);
    links[next].closest('tr').classList.add('at');
    links[next].focus();
  };
  const leave = () => {
    if (sheet && sheet.open) sheet.close();
    else if (document.activeElement) document.activeElement.blur();
    all('tr.at').forEach((row) => row.classList.remove('at'));
  };
  const keys = {
    '/': () => document.querySelector('[data-search]')?.focus(),
    '?': () => sheet?.showModal(),
    g: () => { goes = true; setTimeout(() => { goes = false; }, 1500); },
    j: () => choose(1),
    k: () => choose(-1),
  };
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') {
      // Else it empties a search field, and the list changes.
      if (event.target.type === 'search') event.preventDefault();
      return leave();
    }
    const isTyping = event.target.closest('input, select, textarea, [contenteditable]');
    if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    const place = goes && all('[data-key]').find((link) => link.dataset.key === event.key);
    goes = false;
    if (place) {
      event.preventDefault();
      place.click();
    } else if (Object.hasOwn(keys, event.key)) {
      event.preventDefault();
      keys[event.key]();
    }
  });

  // Live: the page is told that it has changed, and moves nothing by itself. Paused while nobody sees it.
  const watched = document.querySelector('[data-live]');
  const changed = document.getElementById('changed');
  if (watched && changed && 'EventSource' in window) {
    let source = null;
    let last = '';
    const watch = () => {
      const query = new URLSearchParams({ tables: watched.dataset.live, after: last });
      source = new EventSource(`/console/live?${query}`);
      source.addEventListener('at', (event) => { last = event.lastEventId; });
      source.addEventListener('changed', (event) => {
        last = event.lastEventId;
        changed.hidden = false;
      });
    };
    const follow = () => {
      source?.close();
      source = null;
      if (!document.hidden) watch();
    };
    document.addEventListener('visibilitychange', follow);
    window.addEventListener('pagehide', () => source?.close());
    changed.querySelector('button').addEventListener('click', () => location.reload());
    follow();
  }
})();
