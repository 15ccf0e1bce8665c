// Hover values: what pictures say as titles is shown at once, also to fingers. Without this script browsers show the titles themselves.
(function () {
  'use strict';
  var tip = document.getElementById('tip');
  document.querySelectorAll('svg title').forEach(function (title) {
    var mark = title.parentNode;
    mark.setAttribute('data-tip', title.textContent);
    mark.removeChild(title);
  });
  function hide() { tip.hidden = true; }
  function show(event) {
    var mark = event.target.closest && event.target.closest('[data-tip]');
    if (!mark) { return hide(); }
    tip.textContent = mark.getAttribute('data-tip');
    tip.hidden = false;
    var room = document.documentElement.clientWidth, width = tip.offsetWidth, height = tip.offsetHeight;
    var left = Math.min(Math.max(event.clientX - width / 2, 8), room - width - 8);
    var above = event.clientY - height - 14;
    tip.style.left = left + window.scrollX + 'px';
    tip.style.top = (above < 4 ? event.clientY + 18 : above) + window.scrollY + 'px';
  }
  document.addEventListener('pointermove', show);
  document.addEventListener('pointerdown', show);
  document.addEventListener('pointerleave', hide);
  window.addEventListener('scroll', hide, { passive: true });
  document.querySelectorAll('button[data-save]').forEach(function (button) {
    button.hidden = false;
    button.addEventListener('click', function () {
      var all = document.querySelectorAll('script[type="application/json"]');
      var data = all[Number(button.getAttribute('data-save'))].textContent;
      var link = document.createElement('a');
      link.href = URL.createObjectURL(new Blob([data], { type: 'application/json' }));
      link.download = button.getAttribute('data-name');
      link.click();
      URL.revokeObjectURL(link.href);
    });
  });
})();
