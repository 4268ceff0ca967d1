// What pages do beyond links and forms. Nothing depends on it.
(() => {
  'use strict';

  const all = (selector) => [...document.querySelectorAll(selector)];
  // What the browser keeps; it may refuse to.
  const recall = (name) => { try { return localStorage.getItem(name) ?? ''; } catch { return ''; } };
  const keep = (name, value) => { try { localStorage.setItem(name, value); } catch { /* Only for this page, then. */ } };

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

  // Keys: / searches, ? lists the keys, g and a letter goes, j and k choose a row, x selects it, r redrives, Enter opens it,
  // Esc leaves.
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
  // Redrives the row, if it stands for a cause; else the selected rows, or the row, or what the page is about. It does what the
  // button does: a list shows first what that would be, and a large number has to be typed.
  const redrive = () => {
    const row = document.querySelector('tr.at');
    const own = row?.querySelector('button[value="redrive"]');
    if (own) {
      const typed = own.form.elements.confirm;
      return typed && !typed.value ? typed.focus() : own.click();
    }
    const button = document.querySelector('#acts button[value="redrive"]');
    const boxes = all('input[type="checkbox"][form="acts"], #acts [name="all"]');
    const isNone = () => boxes.length > 0 && !boxes.some((box) => box.checked);
    if (button && isNone()) row?.querySelector('input[type="checkbox"]')?.click();
    if (button && !isNone()) button.click();
  };
  const keys = {
    '/': () => document.querySelector('[data-search]')?.focus(),
    '?': () => sheet?.showModal(),
    g: () => { goes = true; setTimeout(() => { goes = false; }, 1500); },
    j: () => choose(1),
    k: () => choose(-1),
    x: () => document.querySelector('tr.at input[type="checkbox"]')?.click(),
    r: redrive,
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

  // Copies the text of an element. Without permission nothing happens: the text can be selected.
  for (const button of all('[data-copy]')) {
    if (!navigator.clipboard) break;
    button.hidden = false;
    button.addEventListener('click', () => {
      const text = document.getElementById(button.dataset.copy).textContent;
      navigator.clipboard.writeText(text).then(() => { button.textContent = 'Copied'; }, () => {});
    });
  }

  // How many rows are selected.
  document.addEventListener('change', (event) => {
    const picked = document.querySelector('[data-picked]');
    if (!picked || !event.target.closest('input[type="checkbox"][form]')) return;
    const count = all('input[type="checkbox"][form]:checked').length;
    picked.textContent = count === 0 ? 'Select some, or take' : `${count} selected, or`;
  });

  // Live: changes are notified over server-sent events and offered by a button; the page never reloads by itself. Only a part
  // that shows how far something is (`data-renew` is its id) is replaced at once. The stream is closed while the page is
  // hidden, and on request.
  const watched = document.querySelector('[data-live]');
  const changed = document.getElementById('changed');
  const toggle = document.getElementById('live');
  if (watched && changed && toggle && 'EventSource' in window) {
    const PAUSED = 'memberflow-live-paused';
    // From the first notification to the count of new rows, so that many changes cost one request.
    const COUNT_AFTER_MS = 1500;
    const button = changed.querySelector('button');
    let source = null;
    let last = '';
    let timer = 0;

    // The page as it is now; nothing if it is not to be had.
    const read = async () => {
      const answer = await fetch(location.href, { headers: { Accept: 'text/html' } });
      if (!answer.ok || answer.redirected) return null;
      return new DOMParser().parseFromString(await answer.text(), 'text/html');
    };
    // How many rows now precede the first row of this page. Only of a first page in the order of time.
    const arrived = async () => {
      const isFirst = !new URLSearchParams(location.search).get('cursor');
      if (!watched.hasAttribute('data-newest') || !isFirst) return '';
      const page = await read();
      if (!page) return '';
      const names = (of) => [...of.querySelectorAll('#list [data-row]')].map((row) => row.dataset.row);
      const [here, there] = [names(document), names(page)];
      const count = here.length === 0 ? there.length : there.indexOf(here[0]);
      if (count < 0) return `${there.length}+`;
      return count === 0 ? '' : String(count);
    };
    const offer = async () => {
      timer = 0;
      const count = await arrived().catch(() => '');
      button.textContent = count ? `${count} new: show` : 'Something changed: show';
      changed.hidden = false;
    };
    // Replaces the part that may change by itself. The focus stays where it is.
    const renew = async () => {
      timer = 0;
      const id = watched.dataset.renew;
      const [here, there] = [document.getElementById(id), (await read())?.getElementById(id)];
      if (!there) return offer();
      const places = (of) => [...of.querySelectorAll('a, button')];
      const focused = places(here).indexOf(document.activeElement);
      here.replaceWith(there);
      if (focused >= 0) (places(there)[focused] ?? watched).focus();
      return arrange();
    };
    const show = () => (watched.dataset.renew ? renew().catch(offer) : offer());
    const showSoon = () => { if (!timer) timer = setTimeout(show, COUNT_AFTER_MS); };
    const watch = () => {
      const query = new URLSearchParams({ tables: watched.dataset.live, after: last });
      source = new EventSource(`/console/live?${query}`);
      source.addEventListener('at', (event) => {
        last = event.lastEventId;
        // It may have changed since the page was made.
        if (watched.dataset.renew) showSoon();
      });
      source.addEventListener('changed', (event) => {
        last = event.lastEventId;
        showSoon();
      });
    };
    const follow = () => {
      source?.close();
      source = null;
      const isPaused = recall(PAUSED) === 'yes';
      toggle.setAttribute('aria-pressed', String(!isPaused));
      if (!document.hidden && !isPaused) watch();
    };
    toggle.hidden = false;
    toggle.addEventListener('click', () => {
      keep(PAUSED, recall(PAUSED) === 'yes' ? '' : 'yes');
      follow();
    });
    keys['.'] = () => toggle.click();
    document.addEventListener('visibilitychange', follow);
    window.addEventListener('pagehide', () => {
      source?.close();
      // Out of the browser's memory the page is loaded again, and this one follows nothing any more.
      document.removeEventListener('visibilitychange', follow);
    });
    document.addEventListener('htmx:after:swap', () => { changed.hidden = true; });
    button.addEventListener('click', () => location.reload());
    follow();
  }

  // Light, dark, or as the system says; kept in the browser.
  const theme = document.getElementById('theme');
  if (theme) {
    const THEMES = ['auto', 'light', 'dark'];
    const name = () => THEMES.find((one) => one === recall('memberflow-theme')) ?? 'auto';
    const show = () => {
      theme.textContent = `Colours: ${name()}`;
      if (name() === 'auto') delete document.documentElement.dataset.theme;
      else document.documentElement.dataset.theme = name();
    };
    theme.hidden = false;
    theme.addEventListener('click', () => {
      keep('memberflow-theme', THEMES[(THEMES.indexOf(name()) + 1) % THEMES.length]);
      show();
    });
    show();
  }
})();
