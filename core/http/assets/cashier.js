// The cashier's page: asks for the state every three seconds and loads the page again when it has changed; counts down to
// the order's expiry by the server's time. Without this script the page loads itself again.
(function () {
  'use strict';

  var page = document.getElementById('cashier');
  var clock = document.getElementById('clock');
  var EVERY_MS = 3000, MOST = 2400;
  var asked = 0, asking = false, leaving = false, over = false;
  var ends = performance.now() + Number(page.dataset.left) * 1000;

  function heard(state) {
    if (state.state !== page.dataset.state) {
      leaving = true;
      location.reload();
    } else {
      ends = performance.now() + state.expires_in * 1000;
    }
  }

  function ask() {
    if (asking || leaving || asked >= MOST || document.hidden) {
      return;
    }
    asking = true;
    asked += 1;
    fetch(page.dataset.status, { cache: 'no-store' }).then(function (answer) {
      return answer.ok ? answer.json().then(heard) : null;
    }).catch(function () {
      // The next time will do.
    }).then(function () {
      asking = false;
    });
  }

  // Somebody looks, or something must have changed: however long the page has been asking.
  function askAgain() {
    asked = 0;
    ask();
  }

  function two(number) {
    return (number < 10 ? '0' : '') + number;
  }

  function tick() {
    var left = Math.max(0, Math.ceil((ends - performance.now()) / 1000));
    var hours = Math.floor(left / 3600), minutes = Math.floor(left / 60) % 60;
    clock.textContent = (hours ? hours + ':' : '') + two(minutes) + ':' + two(left % 60);
    if (left === 0 && !over) {
      over = true;
      askAgain();
    }
  }

  if (page.dataset.status) {
    setInterval(ask, EVERY_MS);
    document.addEventListener('visibilitychange', askAgain);
  }
  if (clock) {
    tick();
    setInterval(tick, 1000);
  }

  // A second press does nothing on the server either; this only shows that the first one was heard.
  document.addEventListener('submit', function (event) {
    var buttons = event.target.querySelectorAll('button');
    setTimeout(function () {
      buttons.forEach(function (button) { button.disabled = true; });
    }, 0);
  });
  window.addEventListener('pageshow', function (event) {
    if (event.persisted) {
      document.querySelectorAll('button').forEach(function (button) { button.disabled = false; });
      askAgain();
    }
  });
}());
