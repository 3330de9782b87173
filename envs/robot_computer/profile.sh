# ~/.profile
alias ll='ls -l'
alias today='grep "$(date +%F)" /var/log/arm/arm.log'
