L env -i A=b env
L nice -n 3 nice
L timeout 5 sleep 0.01
L timeout 0.1 sleep 5 || echo $?
L nohup true
L xargs -n2 -P4 echo <<<'1 2'
L seq 40 | L xargs -n1 -P4 true
L kill -l 9
L nproc >/dev/null
